//! A server for static files, like the plain static host that the page is meant for: no header that such a host lacks, byte
//! ranges, and validators so that a reload after a build fetches what changed and nothing else.

mod files;
mod http;

use std::io::{self, BufReader, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::args::Args;
use crate::{Result, paths, wasm};
use http::{Request, Response};

/// How many ports after the wanted one are tried.
const TRIES: u16 = 20;
/// A browser holds connections open; one that says nothing for this long is closed.
const IDLE: Duration = Duration::from_secs(60);

pub fn command(mut args: Args) -> Result<()> {
    let port = args.option("--port")?.unwrap_or_else(|| "8000".into());
    let port: u16 = port
        .parse()
        .map_err(|_| format!("--port is {port:?}; it must be a number from 0 to 65535"))?;
    let host = args.option("--host")?.unwrap_or_else(|| "127.0.0.1".into());
    let host = if host == "localhost" {
        "127.0.0.1".into()
    } else {
        host
    };
    let host: IpAddr = host
        .parse()
        .map_err(|_| format!("--host is {host:?}; it must be an IP address or localhost"))?;
    let root = args.option("--root")?;
    let built = args.flag("--no-build") || root.is_some();
    let until_eof = args.flag("--stop-at-eof");
    args.end()?;

    let root = root.map_or_else(|| paths::root().join("www"), PathBuf::from);
    if !root.is_dir() {
        return Err(format!(
            "{}: there is no such folder to serve",
            root.display()
        ));
    }
    if !built {
        wasm::build()?;
    }
    let (listener, address) = listen(host, port)?;
    if port != 0 && address.port() != port {
        println!("Port {port} is taken; this is {}.", address.port());
    }
    println!("Darkroom is at {}  (end with Ctrl-C)", url(address));
    if !address.ip().is_loopback() {
        println!(
            "Browsers give WebGPU and the cache only to https and to localhost: from other machines the page is limited."
        );
    }
    if until_eof {
        // Tests hold our standard input: when they die, however they die, it closes.
        thread::spawn(|| {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
    }
    serve(&listener, move |request| files::respond(&root, request));
    Ok(())
}

/// Listens on the wanted port, or on the first free one after it.
fn listen(host: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr)> {
    let last = port.saturating_add(TRIES);
    for candidate in port..=last {
        match TcpListener::bind((host, candidate)) {
            Ok(listener) => {
                let address = listener
                    .local_addr()
                    .map_err(|error| format!("port {candidate}: {error}"))?;
                return Ok((listener, address));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(format!("cannot listen on {host} port {candidate}: {error}")),
        }
    }
    Err(format!(
        "ports {port} to {last} are all taken; choose another with --port"
    ))
}

fn url(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => {
            format!("http://localhost:{}/", address.port())
        }
        _ => format!("http://{address}/"),
    }
}

/// Answers every connection on a thread of its own, for as long as the process lives.
fn serve(listener: &TcpListener, respond: impl Fn(&Request) -> Response + Send + Sync + 'static) {
    let respond = Arc::new(respond);
    for stream in listener.incoming() {
        // A connection that broke before it was accepted is the browser's affair.
        let Ok(stream) = stream else { continue };
        let respond = Arc::clone(&respond);
        // So is one that breaks midway: it asks again.
        thread::spawn(move || converse(&stream, &*respond));
    }
}

/// Reads requests from one connection and answers them until either side closes.
fn converse(stream: &TcpStream, respond: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (request, response) = match Request::read(&mut reader)? {
            http::Incoming::Closed => return Ok(()),
            http::Incoming::Malformed => (None, Response::text(400, "this is no HTTP request\n")),
            http::Incoming::Request(request) => {
                let response = respond(&request);
                (Some(request), response)
            }
        };
        let keep = request.as_ref().is_some_and(Request::keeps_connection);
        let head_only = request
            .as_ref()
            .is_some_and(|request| request.method == "HEAD");
        response.write(&mut &*stream, head_only, keep)?;
        if !keep {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
