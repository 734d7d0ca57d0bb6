//! Sends spans to a receiver, over HTTP.

use super::{Counts, Span, otlp};
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Spans that are sent at once.
const TOGETHER_MAX: usize = 512;
/// How long a span waits for others.
const WAITS: Duration = Duration::from_secs(1);
/// How long a receiver may be silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a receiver listens: the base URL that OpenTelemetry calls an OTLP endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `localhost:4318`.
    host: String,
    /// `/v1/traces`.
    path: String,
}

impl FromStr for Endpoint {
    type Err = ();

    fn from_str(text: &str) -> Result<Endpoint, ()> {
        let rest = text.strip_prefix("http://").ok_or(())?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte));
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(name, port)| !name.is_empty() && !port.is_empty() && port.parse::<u16>().is_ok());
        if !has_port || !is_plain(host) || !is_plain(path) {
            return Err(());
        }
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { "/v1/traces".to_owned() } else { format!("/{path}/v1/traces") };
        Ok(Endpoint { host: host.to_owned(), path })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

impl Endpoint {
    /// Posts a message. Each has a connection of its own: there is one a second.
    fn post(&self, body: &[u8]) -> io::Result<()> {
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "no address of that name");
        let mut connected = Err(nowhere());
        for address in self.host.to_socket_addrs()? {
            connected = TcpStream::connect_timeout(&address, PATIENCE);
            if connected.is_ok() {
                break;
            }
        }
        let mut stream = connected?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (host, path, length) = (&self.host, &self.path, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-protobuf\r\n\
             Content-Length: {length}\r\nConnection: close\r\nUser-Agent: farebox\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut line = String::new();
        BufReader::new(io::Read::take(stream, 1_024)).read_line(&mut line)?;
        let status: Option<u16> = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        match status {
            Some(200..=299) => Ok(()),
            Some(status) => Err(io::Error::other(format!("it answered {status}"))),
            None => Err(io::Error::other("it did not answer as HTTP does")),
        }
    }
}

/// Sends what comes, until nothing can come any more.
pub(super) fn work(endpoint: &Endpoint, waiting: &Receiver<Span>, counts: &Counts) {
    let mut has_failed = false;
    let mut is_over = false;
    while !is_over {
        let Ok(first) = waiting.recv() else { return };
        let (mut spans, until) = (vec![first], Instant::now() + WAITS);
        while spans.len() < TOGETHER_MAX {
            match waiting.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(span) => spans.push(span),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    is_over = true;
                    break;
                }
            }
        }
        let sent = endpoint.post(&otlp::request(&spans));
        let count = if sent.is_ok() { &counts.sent } else { &counts.failed };
        count.add(spans.len() as u64);
        match sent {
            Ok(()) if std::mem::take(&mut has_failed) => tracing::info!("traces are sent again"),
            Err(error) if !std::mem::replace(&mut has_failed, true) => {
                tracing::warn!(%endpoint, %error, "traces cannot be sent");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_base_address() {
        for (text, expected) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("http://[::1]:4318/otel/", "http://[::1]:4318/otel/v1/traces"),
        ] {
            assert_eq!(
                text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()),
                Ok(expected.to_owned())
            );
        }
        for wrong in [
            "",
            "localhost:4318",
            "https://localhost:4318",
            "http://localhost",
            "http://:4318",
            "http://localhost:x",
            "http://localhost:70000",
            "http://user@localhost:4318",
            "http://localhost:4318/a b",
            "http://localhost:4318/?a",
        ] {
            assert_eq!(wrong.parse::<Endpoint>(), Err(()), "{wrong}");
        }
    }
}
