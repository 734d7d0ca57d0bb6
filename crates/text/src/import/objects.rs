//! JSON objects in a file: on lines, one after another, in an array, or in pages of a list.

use super::scan::{Framing, ROW_BYTES_MAX};
use super::spec::Reader;
use std::io;

/// Where brackets and strings stand while bytes go by.
#[derive(Clone, Copy, Debug, Default)]
struct Nesting {
    depth: u32,
    string: bool,
    escape: bool,
}

impl Nesting {
    /// The length up to the end of the value that was begun, if it ends here.
    fn end(&mut self, data: &[u8]) -> Option<usize> {
        for (i, &byte) in data.iter().enumerate() {
            if self.string {
                match byte {
                    _ if self.escape => self.escape = false,
                    b'\\' => self.escape = true,
                    b'"' => self.string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(i + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// The length of the object at the beginning, if it ends within the longest row.
pub(super) fn value_end(data: &[u8]) -> Option<usize> {
    Nesting::default().end(&data[..data.len().min(ROW_BYTES_MAX)])
}

/// How a piece of a stream begins, on one line, without what follows the piece.
pub(super) fn piece(begins: &[u8]) -> &[u8] {
    let line = begins.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let end = match line.first() {
        Some(b'{' | b'[') => value_end(line),
        Some(b']') => Some(1),
        _ => line.iter().position(ends_word),
    };
    &line[..end.unwrap_or(line.len())]
}

/// Whether a byte ends what is neither an object nor an array.
fn ends_word(byte: &u8) -> bool {
    matches!(byte, b'{' | b',' | b']' | b'\n')
}

/// One object of a stream, or what stands in its place.
pub(super) struct Object {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) wrong: Option<(&'static str, &'static str)>,
}

/// Some whole objects.
pub(super) struct Cut {
    pub(super) bytes: Vec<u8>,
    pub(super) objects: Vec<Object>,
    pub(super) progress: u64,
}

/// How JSON records are framed, by how the file begins. `within`: the name of the list in which
/// pages of them may stand.
pub(super) fn framing(head: &[u8], within: Option<&'static str>) -> Framing {
    let head = head.trim_ascii_start();
    if let Some(list) = within.filter(|list| begins_with_page(head, list)) {
        return Framing::Objects { within: Some(list) };
    }
    // An object over several lines has none that is a whole object: one is enough to tell, so
    // that a broken first line does not cost the file.
    let whole = |line: &[u8]| {
        line.first() == Some(&b'{') && value_end(line).is_some_and(|end| line[end..].trim_ascii().is_empty())
    };
    let by_line = head.first() == Some(&b'{') && head.split(|&b| b == b'\n').take(50).any(whole);
    match head.first() {
        Some(b'{' | b'[') if !by_line => Framing::Objects { within: None },
        _ => Framing::Lines,
    }
}

fn begins_with_page(head: &[u8], list: &str) -> bool {
    let head = head.strip_prefix(b"[").unwrap_or(head).trim_ascii_start();
    let mut page = Page::new(0, 0);
    head.strip_prefix(b"{").is_some_and(|rest| {
        let found = rest.iter().map(|&byte| page.step(byte, list)).find(|step| *step != Step::On);
        found == Some(Step::List)
    })
}

/// A page: an object of which one list holds the records.
struct Page {
    line: u64,
    offset: u64,
    depth: u32,
    string: bool,
    escape: bool,
    /// The last text directly in the page, and whether a colon followed it.
    word: Vec<u8>,
    named: bool,
    /// The list has begun, and has not ended.
    inside: bool,
    seen: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    On,
    /// The list begins.
    List,
    /// The page has ended.
    End,
}

impl Page {
    fn new(line: u64, offset: u64) -> Page {
        let word = Vec::new();
        Page {
            line,
            offset,
            depth: 1,
            string: false,
            escape: false,
            word,
            named: false,
            inside: false,
            seen: false,
        }
    }

    /// One byte of the page outside its list.
    fn step(&mut self, byte: u8, list: &str) -> Step {
        if self.string {
            match byte {
                _ if self.escape => self.escape = false,
                b'\\' => self.escape = true,
                b'"' => self.string = false,
                _ => {}
            }
            if self.string && self.depth == 1 && self.word.len() <= list.len() {
                self.word.push(byte);
            }
            return Step::On;
        }
        match byte {
            b'"' => {
                self.string = true;
                self.word.clear();
                self.named = false;
            }
            b':' => self.named = true,
            b'[' if self.depth == 1 && self.named && self.word == list.as_bytes() => {
                self.inside = true;
                self.seen = true;
                return Step::List;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                self.named = false;
                if self.depth == 0 {
                    return Step::End;
                }
            }
            b',' => self.named = false,
            _ => {}
        }
        Step::On
    }
}

/// Finds the objects of an array, or one after another, from the beginning to the end.
pub(super) struct Stream {
    at: u64,
    line: u64,
    within: Option<&'static str>,
    page: Option<Page>,
    /// Line and offset of the array that has begun and not ended.
    array: Option<(u64, u64)>,
    /// Inside an object too long to be held.
    skipping: Option<Nesting>,
}

impl Stream {
    pub(super) fn new(at: u64, within: Option<&'static str>) -> Stream {
        Stream { at, line: 1, within, page: None, array: None, skipping: None }
    }

    /// The next objects, about `size` bytes of them; `None` at the end.
    pub(super) fn cut(&mut self, reader: &mut Reader, len: u64, size: u64) -> io::Result<Option<Cut>> {
        if self.at >= len {
            return Ok(None);
        }
        let from = self.at;
        let wanted = from.saturating_add(size).saturating_add(ROW_BYTES_MAX as u64).min(len);
        let mut bytes = Vec::new();
        reader.read(from, wanted, &mut bytes)?;
        if (bytes.len() as u64) < wanted - from {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
        }
        let mut objects = Vec::new();
        let mut at = 0;
        if let Some(mut nesting) = self.skipping.take() {
            match nesting.end(&bytes) {
                Some(end) => at = end,
                None => {
                    self.skipping = Some(nesting);
                    at = bytes.len();
                }
            }
            self.line += lines(&bytes[..at]);
        }
        while at < bytes.len() && (at as u64) < size {
            let byte = bytes[at];
            let mut object = Object { at, len: 0, line: self.line, offset: from + at as u64, wrong: None };
            if let (Some(list), Some(page)) = (self.within, self.page.as_mut().filter(|page| !page.inside)) {
                if page.step(byte, list) == Step::End {
                    if !page.seen {
                        (object.line, object.offset) = (page.line, page.offset);
                        object.wrong = Some(("bad-json", "the object has no list of calls"));
                        objects.push(object);
                    }
                    self.page = None;
                }
                self.line += u64::from(byte == b'\n');
                at += 1;
                continue;
            }
            match byte {
                b'{' if self.within.is_some() && self.page.is_none() => {
                    self.page = Some(Page::new(self.line, object.offset));
                }
                b']' if self.page.is_some() => {
                    if let Some(page) = &mut self.page {
                        page.inside = false;
                    }
                }
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' | b',' => {}
                b'[' if self.array.is_none() && self.page.is_none() => {
                    self.array = Some((self.line, object.offset));
                }
                b']' if self.array.take().is_some() => {}
                b']' => {
                    object.wrong = Some(("bad-json", "a ] without its ["));
                    objects.push(object);
                }
                b'{' | b'[' => {
                    if byte == b'[' {
                        object.wrong = Some(("bad-json", "this is no object"));
                    }
                    let within = &bytes[at..bytes.len().min(at + ROW_BYTES_MAX)];
                    let mut nesting = Nesting::default();
                    match nesting.end(within) {
                        Some(end) => object.len = end,
                        None if at + within.len() == bytes.len() && wanted == len => {
                            object.wrong = Some(("bad-json", "an object never ends"));
                            self.array = None;
                            object.len = within.len();
                        }
                        None => {
                            object.wrong = Some(("too-long", "the event is longer than 262144 bytes"));
                            object.len = within.len();
                            // The rest of what is at hand may hold its end.
                            let rest = &bytes[at + within.len()..];
                            match nesting.end(rest) {
                                Some(end) => object.len += end,
                                None => {
                                    object.len += rest.len();
                                    self.skipping = Some(nesting);
                                }
                            }
                        }
                    }
                    self.line += lines(&bytes[at..at + object.len]);
                    at += object.len;
                    objects.push(object);
                    continue;
                }
                _ => {
                    let end = bytes[at..].iter().position(ends_word).unwrap_or(bytes.len() - at);
                    object.wrong = Some(("bad-json", "this is no object"));
                    objects.push(object);
                    at += end;
                    continue;
                }
            }
            at += 1;
        }
        self.at = from + at as u64;
        // An object that never ends takes its array with it.
        if self.at >= len
            && self.skipping.is_none()
            && let Some((line, offset)) = self.array.take()
        {
            let wrong = Some(("bad-json", "an array never ends"));
            objects.push(Object { at, len: 0, line, offset, wrong });
        }
        if self.at >= len
            && let Some(page) = self.page.take()
        {
            let wrong = Some(("bad-json", "a page of calls never ends"));
            objects.push(Object { at, len: 0, line: page.line, offset: page.offset, wrong });
        }
        Ok(Some(Cut { bytes, objects, progress: at as u64 }))
    }
}

fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
