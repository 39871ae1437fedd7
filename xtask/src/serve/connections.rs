//! The accept loop and the conversation on one connection.

use std::io::{self, BufReader};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::http::{Incoming, Request, Response};

/// Browsers keep connections open; one that is silent for this long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// Wait after a failed accept or a failed start of a thread. Both fail while the process is out of
/// file descriptors or threads, and both succeed again once a connection ends.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Work to be done on a thread of its own.
pub type Job = Box<dyn FnOnce() + Send>;

/// Answers each connection on a thread of its own, until `incoming` ends.
///
/// `start` starts the threads, and `pause` waits after a failure.
pub fn serve(
    incoming: impl Iterator<Item = io::Result<TcpStream>>,
    respond: impl Fn(&Request) -> Response + Send + Sync + 'static,
    start: impl Fn(Job) -> io::Result<()>,
    pause: impl Fn(),
) {
    let respond = Arc::new(respond);
    for stream in incoming {
        let stream = match stream {
            Ok(stream) => stream,
            // The client gave up before it was accepted. It asks again if it cares.
            Err(error) if is_clients(&error) => continue,
            Err(error) => {
                eprintln!("No connection could be accepted: {error}");
                pause();
                continue;
            }
        };
        let respond = Arc::clone(&respond);
        let job = Box::new(move || {
            // A connection that breaks is the client's affair, too.
            let _ = converse(&stream, &*respond);
        });
        // Where no thread starts, the job is dropped and closes its connection.
        if let Err(error) = start(job) {
            eprintln!("A connection was closed, for no thread could be started: {error}");
            pause();
        }
    }
}

/// Starts a thread, as `serve` expects.
pub fn on_a_thread(job: Job) -> io::Result<()> {
    thread::Builder::new().spawn(job).map(|_| ())
}

fn is_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Reads requests from one connection and answers them until either side closes.
fn converse(stream: &TcpStream, respond: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (request, response) = match Request::read(&mut reader)? {
            Incoming::Closed => return Ok(()),
            Incoming::Malformed => (None, Response::text(400, "not an HTTP request\n")),
            Incoming::Request(request) => {
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
