//! `cargo xtask serve`: a server for static files.
//!
//! It behaves like the plain static host that the page is made for: no extra headers, byte ranges,
//! and validators, so that a reload after a build fetches only what changed.

mod connections;
mod files;
mod hosts;
mod http;

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

use lexopt::prelude::*;

use crate::{Result, paths, wasm};
use connections::{PAUSE, on_a_thread};
use hosts::Hosts;
use http::{Request, Response};

/// Number of ports after the requested one that are tried.
const TRIES: u16 = 20;

struct Options {
    port: u16,
    host: IpAddr,
    /// Host names to accept besides this machine's own.
    names: Vec<String>,
    /// Folder to serve in place of `www`.
    root: Option<PathBuf>,
    build: bool,
    stop_at_eof: bool,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> std::result::Result<Self, lexopt::Error> {
        let mut options = Self {
            port: 8000,
            host: Ipv4Addr::LOCALHOST.into(),
            names: Vec::new(),
            root: None,
            build: true,
            stop_at_eof: false,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => options.port = port(&parser.value()?.string()?)?,
                Long("host") => options.host = host(&parser.value()?.string()?)?,
                Long("allow-host") => options.names.push(parser.value()?.string()?),
                Long("root") => options.root = Some(parser.value()?.into()),
                Long("no-build") => options.build = false,
                Long("stop-at-eof") => options.stop_at_eof = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

fn port(text: &str) -> Result<u16> {
    text.parse()
        .map_err(|_| format!("--port is {text:?}; it must be a number from 0 to 65535"))
}

fn host(text: &str) -> Result<IpAddr> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse()
        .map_err(|_| format!("--host is {text:?}; it must be an IP address or localhost"))
}

pub fn command(parser: lexopt::Parser) -> Result<()> {
    let options = Options::parse(parser).map_err(|error| error.to_string())?;
    let root = options
        .root
        .clone()
        .unwrap_or_else(|| paths::root().join("www"));
    if !root.is_dir() {
        return Err(format!("{}: no such folder", root.display()));
    }
    if options.build && options.root.is_none() {
        wasm::build()?;
    }
    let (listener, address) = listen(options.host, options.port)?;
    announce(options.port, address);
    if options.stop_at_eof {
        // Tests hold our standard input. It closes when they end, however they end.
        thread::spawn(|| {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
    }
    let hosts = Hosts::new(address.ip(), &options.names);
    let respond = move |request: &Request| answer(&root, &hosts, request);
    let pause = || thread::sleep(PAUSE);
    connections::serve(listener.incoming(), respond, on_a_thread, pause);
    Ok(())
}

fn announce(wanted: u16, address: SocketAddr) {
    if wanted != 0 && address.port() != wanted {
        println!("Port {wanted} is taken; this is {}.", address.port());
    }
    println!("Darkroom is at {}  (end with Ctrl-C)", url(address));
    if !address.ip().is_loopback() {
        println!(
            "Browsers offer WebGPU and the cache only on https and localhost: \
             from other machines the page is limited."
        );
    }
}

/// Answers a request for a file, if the request names an accepted host.
fn answer(root: &Path, hosts: &Hosts, request: &Request) -> Response {
    match request.host() {
        Some(host) if hosts.accept(host) => files::respond(root, request),
        Some(host) => Response::text(
            403,
            &format!("{host:?} is not a name of this server; see --allow-host\n"),
        ),
        None => Response::text(400, "the Host header is missing or repeated\n"),
    }
}

/// Listens on the requested port, or on the first free one after it.
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

#[cfg(test)]
mod tests;
