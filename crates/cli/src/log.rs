//! What a server says while it runs, on standard error: a line for each event, as text or as JSON. A thread of its own
//! writes it: whoever keeps the log may be gone, full or slow, and the server goes on as before. What cannot be written
//! or kept until then is lost, and the log says how much once it can be written again.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::Level;

/// The most bytes of lines that wait to be written.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// How long the end of the process waits for lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How it is written.
#[derive(Clone, Copy)]
pub enum Form {
    Text,
    Json,
}

impl FromStr for Form {
    type Err = ();

    fn from_str(text: &str) -> Result<Form, ()> {
        match text {
            "text" => Ok(Form::Text),
            "json" => Ok(Form::Json),
            _ => Err(()),
        }
    }
}

/// Writes events of this level, and graver ones, from now on. Who drops what is answered waits for the last lines, for
/// a second at most.
pub fn start(level: Level, form: Form) -> io::Result<Log> {
    let lines = Arc::new(Lines::default());
    let (waiting, out) = (lines.clone(), standard_error()?);
    std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&waiting, out, form))?;
    let told = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .log_internal_errors(false)
        .with_writer(move || Entry(told.clone()));
    match form {
        Form::Text => log.with_ansi(false).init(),
        Form::Json => log.json().flatten_event(true).init(),
    }
    Ok(Log(lines))
}

/// The log of this process, until it ends.
pub struct Log(Arc<Lines>);

impl Drop for Log {
    fn drop(&mut self) {
        let waiting = self.0.lock();
        let _ = self.0.written.wait_timeout_while(waiting, LAST_LINES, |waiting| waiting.is_busy());
    }
}

/// Lines that wait to be written.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    /// There are some.
    come: Condvar,
    /// There are none, and the last one was written.
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    is_writing: bool,
    lost: u64,
}

impl Waiting {
    fn is_busy(&self) -> bool {
        self.is_writing || !self.lines.is_empty()
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes + line.len() > WAITING_BYTES_MAX {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_owned());
        self.come.notify_one();
    }

    /// The next line, when there is one.
    fn take(&self) -> Vec<u8> {
        let mut waiting = self.lock();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len();
                waiting.is_writing = true;
                return line;
            }
            waiting = self.come.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes what became of the line that was taken.
    fn done(&self, is_written: bool) {
        let mut waiting = self.lock();
        waiting.is_writing = false;
        waiting.lost += u64::from(!is_written);
        if !waiting.is_busy() {
            self.written.notify_all();
        }
    }
}

/// One event: it is written at once, as a line.
struct Entry(Arc<Lines>);

impl Write for Entry {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error without its lock: a write that stalls must not hold up who writes there without the log.
#[cfg(unix)]
fn standard_error() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn standard_error() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stderr().as_handle().try_clone_to_owned()?.into())
}

fn write_all(lines: &Lines, out: File, form: Form) {
    let mut out = Output { out, is_torn: false };
    loop {
        let line = lines.take();
        let is_written = out.write(&line);
        if is_written {
            let lost = lines.lock().lost;
            if lost > 0 && out.write(&lost_line(lost, form)) {
                lines.lock().lost -= lost;
            }
        }
        lines.done(is_written);
    }
}

/// Where lines are written to.
struct Output {
    out: File,
    /// Whether a line was written in part.
    is_torn: bool,
}

impl Output {
    /// Whether the line is written.
    fn write(&mut self, line: &[u8]) -> bool {
        // What follows part of a line is on a line of its own, which programs can read.
        if self.is_torn && self.out.write_all(b"\n").is_err() {
            return false;
        }
        self.is_torn = false;
        let mut rest = line;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => break,
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.is_torn = !rest.is_empty() && rest.len() < line.len();
        rest.is_empty()
    }
}

/// The line that says how many there are not.
fn lost_line(lines: u64, form: Form) -> Vec<u8> {
    let said = Arc::new(Lines::default());
    let own = said.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(Level::WARN)
        .with_target(false)
        .log_internal_errors(false)
        .with_writer(move || Entry(own.clone()));
    let tell = || tracing::warn!(lines, "lines of the log are lost: they could not be written");
    match form {
        Form::Text => tracing::subscriber::with_default(log.with_ansi(false).finish(), tell),
        Form::Json => tracing::subscriber::with_default(log.json().flatten_event(true).finish(), tell),
    }
    let line = said.lock().lines.pop_front();
    line.unwrap_or_default()
}
