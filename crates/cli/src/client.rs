//! A lean HTTP/1.1 client: under load it takes as little of the machine from the server as it can. It knows no TLS.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::str::FromStr;

/// One connection that stays open.
pub struct Connection {
    stream: BufReader<TcpStream>,
    head: Vec<u8>,
    line: Vec<u8>,
    body: Vec<u8>,
    host: String,
    token: Option<String>,
    retry_after_s: Option<u64>,
}

impl Connection {
    /// Connects to `127.0.0.1:8080` and the like. `token`: the access key, if the server wants one.
    pub fn open(address: &str, token: Option<&str>) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: BufReader::new(stream),
            head: Vec::new(),
            line: Vec::new(),
            body: Vec::new(),
            host: address.to_owned(),
            token: token.map(str::to_owned),
            retry_after_s: None,
        })
    }

    /// Posts JSON; the status and the answer.
    pub fn post(&mut self, path: &str, body: &[u8]) -> io::Result<(u16, &[u8])> {
        self.send("POST", path, &[("Content-Type", "application/json")], Some(body))
    }

    /// Posts a body with these headers; the status and the answer.
    pub fn post_with(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<(u16, &[u8])> {
        self.send("POST", path, headers, Some(body))
    }

    /// Gets; the status and the answer.
    pub fn get(&mut self, path: &str) -> io::Result<(u16, &[u8])> {
        self.send("GET", path, &[], None)
    }

    /// How long the last answer asks to wait, in seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_s
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> io::Result<(u16, &[u8])> {
        self.head.clear();
        write!(self.head, "{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host)?;
        if let Some(token) = &self.token {
            write!(self.head, "Authorization: Bearer {token}\r\n")?;
        }
        for (name, value) in headers {
            write!(self.head, "{name}: {value}\r\n")?;
        }
        if let Some(body) = body {
            write!(self.head, "Content-Length: {}\r\n", body.len())?;
        }
        self.head.extend_from_slice(b"\r\n");
        // What is short goes in one packet.
        match body {
            Some(body) if body.len() < 4_096 => {
                self.head.extend_from_slice(body);
                self.stream.get_mut().write_all(&self.head)?;
            }
            Some(body) => {
                self.stream.get_mut().write_all(&self.head)?;
                self.stream.get_mut().write_all(body)?;
            }
            None => self.stream.get_mut().write_all(&self.head)?,
        }
        self.receive()
    }

    fn receive(&mut self) -> io::Result<(u16, &[u8])> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let status = self.next_line()?.split(|byte| *byte == b' ').nth(1).and_then(number);
        let status = status.ok_or_else(|| wrong("no status line"))?;
        let (mut length, mut retry_after_s) = (0, None);
        loop {
            let line = self.next_line()?;
            if line.is_empty() {
                break;
            }
            if let Some(value) = value_of(line, b"content-length:") {
                length = number(value).ok_or_else(|| wrong("a length that is no number"))?;
            } else if let Some(value) = value_of(line, b"retry-after:") {
                retry_after_s = number(value);
            }
        }
        self.retry_after_s = retry_after_s;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok((status, &self.body))
    }

    /// The next line of a head, without its end.
    fn next_line(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        if self.stream.read_until(b'\n', &mut self.line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the head never ends"));
        }
        Ok(self.line.trim_ascii_end())
    }
}

/// The value of a header, where that is what a line says. `name`: with its colon.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (said, value) = line.split_at_checked(name.len())?;
    said.eq_ignore_ascii_case(name).then_some(value)
}

fn number<N: FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

/// A name in a path, or the value of a parameter.
pub fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(one).collect()
}
