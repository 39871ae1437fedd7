//! Child processes.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Result, paths};

/// A program that will run in the root of the checkout.
///
/// The variables that `cargo run` sets for xtask itself are removed: with them, a build would
/// differ from the same build started by hand.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(paths::root());
    for (key, _) in env::vars_os() {
        let Some(name) = key.to_str() else { continue };
        let from_cargo = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if from_cargo || name == "CARGO" {
            command.env_remove(name);
        }
    }
    command
}

/// The cargo that started xtask.
pub fn cargo() -> Command {
    program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The command as typed in a shell.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut line: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if let Some(name) = Path::new(&line[0]).file_name().and_then(OsStr::to_str) {
        line[0] = name.to_owned();
    }
    // Paths inside the checkout read best from its root.
    line.join(" ")
        .replace(&format!("{}/", paths::root().display()), "")
}

/// Prints the command and runs it. A failure of any kind is an error.
pub fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", line(command));
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", line(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", line(command)))
    }
}

/// The stream of a child process that is read line by line. The other one is inherited.
#[derive(Clone, Copy, PartialEq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Runs a command like [`run`], and passes every line of one stream to `watch` after printing it.
pub fn watched(command: &mut Command, stream: Stream, mut watch: impl FnMut(&str)) -> Result<()> {
    let line = line(command);
    println!("$ {line}");
    let failed = |error: std::io::Error| format!("{line}: {error}");
    match stream {
        Stream::Stdout => command.stdout(Stdio::piped()),
        Stream::Stderr => command.stderr(Stdio::piped()),
    };
    let mut child = command.stdin(Stdio::null()).spawn().map_err(failed)?;
    let pipe: Box<dyn Read> = match stream {
        Stream::Stdout => Box::new(child.stdout.take().ok_or("no pipe")?),
        Stream::Stderr => Box::new(child.stderr.take().ok_or("no pipe")?),
    };
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).map_err(failed)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\r', '\n']);
        match stream {
            Stream::Stdout => println!("{text}"),
            Stream::Stderr => eprintln!("{text}"),
        }
        watch(text);
        bytes.clear();
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{line}: {status}"))
    }
}

/// Standard output of a short command; `None` when it fails or does not exist.
pub fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Standard output of a command that must succeed; the error contains its standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{line}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{line}: {}\n{}", output.status, said.trim()))
}

/// Runs an installer quietly. The error of a failed one contains the end of its output.
///
/// # Errors
/// When the installer fails or takes longer than `limit`.
pub fn install(command: &mut Command, limit: Duration) -> Result<()> {
    let line = line(command);
    println!("  {line}");
    let failed = |error: std::io::Error| format!("{line}: {error}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let out = drain(child.stdout.take());
    let err = drain(child.stderr.take());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if begun.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{line}: not finished within {} s", limit.as_secs()));
        }
        thread::sleep(Duration::from_millis(50));
    };
    if status.success() {
        return Ok(());
    }
    let said = [out, err]
        .into_iter()
        .map(|reader| reader.join().unwrap_or_default())
        .collect::<String>();
    let tail: Vec<&str> = said.lines().rev().take(15).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(format!("{line}: {status}\n{}", tail.join("\n")))
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The first of the programs `names` that is on the PATH.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names.iter().find_map(|name| {
        env::split_paths(&path)
            .map(|folder| folder.join(format!("{name}{}", env::consts::EXE_SUFFIX)))
            .find(|file| file.is_file())
    })
}
