//! What to import, and how it is to be read.

use super::rules::MapRule;
use crate::diagnostic::{Diagnostic, nearest};
use farebox_core::calendar::Zone;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

/// A format of usage files (FORMATS.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// CloudEvents 1.0 JSON: one object, a batch (an array), or one object a line.
    CloudEvents,
    /// Asterisk `cdr-csv/Master.csv`, 16 to 21 columns. Local times: needs a zone.
    Asterisk,
    /// Combined or common access log, one request a line.
    AccessLog,
    /// Any CSV with a header line, by [`Table`].
    Csv,
    /// Amazon Connect contact records: JSON, one a line, one after another, or an array.
    AmazonConnect,
    /// FreeSWITCH `mod_cdr_csv`, 13 or 15 columns. Local times: needs a zone.
    FreeSwitchCsv,
    /// FreeSWITCH `mod_json_cdr`: one a line, one after another, or an array.
    FreeSwitchJson,
    /// Kamailio's log with lines of its accounting.
    Kamailio,
    /// Twilio call resources: JSON, one a line, an array, or pages of `calls`.
    Twilio,
}

impl Preset {
    /// Every preset, by name.
    pub const ALL: [Preset; 9] = [
        Preset::AccessLog,
        Preset::AmazonConnect,
        Preset::Asterisk,
        Preset::CloudEvents,
        Preset::Csv,
        Preset::FreeSwitchCsv,
        Preset::FreeSwitchJson,
        Preset::Kamailio,
        Preset::Twilio,
    ];

    /// Its name, which is also the default source.
    pub const fn name(self) -> &'static str {
        match self {
            Preset::CloudEvents => "cloudevents",
            Preset::Asterisk => "asterisk",
            Preset::AccessLog => "access-log",
            Preset::Csv => "csv",
            Preset::AmazonConnect => "amazon-connect",
            Preset::FreeSwitchCsv => "freeswitch-csv",
            Preset::FreeSwitchJson => "freeswitch-json",
            Preset::Kamailio => "kamailio",
            Preset::Twilio => "twilio",
        }
    }

    /// The preset of a name; the error is what was probably meant.
    pub fn parse(name: &str) -> Result<Preset, Option<String>> {
        let known = Preset::ALL.map(Preset::name);
        Preset::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| nearest(name, known))
    }
}

/// Which fields of the format become attributes of the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attributes {
    /// All that the format has. For calls that keeps the lead row's columns in memory.
    #[default]
    All,
    /// These, where the format has them: what meters, filters and reports look at.
    Only(Vec<String>),
}

impl Attributes {
    /// Whether the field is wanted.
    pub fn wants(&self, name: &str) -> bool {
        match self {
            Attributes::All => true,
            Attributes::Only(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

/// How a generic CSV is laid out. Columns are named as in the header line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Between fields: `,` by default.
    pub separator: u8,
    /// The columns that together identify a row: `id` by default. A file without them is
    /// identified by its rows' content: a repeated row is a duplicate.
    pub id: Vec<String>,
    /// The column of the event's time: `time`.
    pub time: String,
    /// The column of its beginning, where there is one: `start`.
    pub start: String,
    /// The column of the account: `account`.
    pub account: String,
    /// The column of the event's type, where there is one: `type`.
    pub kind: String,
    /// The column of the revision, where there is one: `revision`.
    pub revision: String,
    /// How times are written, as `strptime` has it. `None`: RFC 3339.
    pub time_format: Option<String>,
}

impl Default for Table {
    fn default() -> Table {
        Table {
            separator: b',',
            id: vec!["id".into()],
            time: "time".into(),
            start: "start".into(),
            account: "account".into(),
            kind: "type".into(),
            revision: "revision".into(),
            time_format: None,
        }
    }
}

/// One import: the file, its format and its rules.
#[derive(Clone, Debug)]
pub struct ImportSpec {
    /// The format.
    pub preset: Preset,
    /// The usage file as messages name it.
    pub file: String,
    /// The file that holds the rules, as messages name it.
    pub rules_file: String,
    /// The wall clock of local times; a format that has them needs it.
    pub zone: Option<Zone>,
    /// Who says so; the preset's name by default. CloudEvents carry their own.
    pub source: Option<String>,
    /// The events' type; by default `call`, `request` or `usage`, or as the rows say.
    pub kind: Option<String>,
    /// Rules; the first that holds decides. None at all: the format's own account field does.
    pub rules: Vec<MapRule>,
    /// Fields that become attributes.
    pub attributes: Attributes,
    /// The layout of a [`Preset::Csv`].
    pub table: Table,
    /// How many quarantined rows a summary lists; all are counted.
    pub listed_max: usize,
    /// Bytes per piece of work. Results do not depend on it; memory does.
    pub chunk_bytes: usize,
}

impl ImportSpec {
    /// An import with the preset's defaults.
    pub fn new(preset: Preset, file: impl Into<String>) -> ImportSpec {
        ImportSpec {
            preset,
            file: file.into(),
            rules_file: String::new(),
            zone: None,
            source: None,
            kind: None,
            rules: Vec::new(),
            attributes: Attributes::All,
            table: Table::default(),
            listed_max: 100,
            chunk_bytes: 1 << 20,
        }
    }

    pub(super) fn wrong(&self, found: impl Into<String>, expected: impl Into<String>) -> Diagnostic {
        Diagnostic {
            file: self.file.clone(),
            line: 0,
            column: 0,
            found: found.into(),
            expected: expected.into(),
            suggestion: None,
        }
    }
}

/// Where the bytes are. They are read in pieces, by several threads, and again where a later
/// revision takes an event back: so a file, not a pipe.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file on disk.
    File(PathBuf),
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
}

impl Input {
    /// Bytes in memory.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Input {
        Input::Bytes(bytes.as_ref().into())
    }

    /// Its size in bytes now. What is appended later belongs to a later import.
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Input::File(path) => {
                let metadata = std::fs::metadata(path)?;
                if !metadata.is_file() {
                    return Err(io::Error::other("not a plain file"));
                }
                Ok(metadata.len())
            }
            Input::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    pub(super) fn open(&self) -> io::Result<Reader> {
        Ok(match self {
            Input::File(path) => Reader::File(File::open(path)?),
            Input::Bytes(bytes) => Reader::Bytes(Arc::clone(bytes)),
        })
    }
}

/// One thread's own handle on an input.
pub(super) enum Reader {
    File(File),
    Bytes(Arc<[u8]>),
}

impl Reader {
    /// Appends the bytes from `from` to before `to`; fewer only where the input ends.
    pub(super) fn read(&mut self, from: u64, to: u64, into: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Reader::File(file) => {
                file.seek(SeekFrom::Start(from))?;
                file.take(to.saturating_sub(from)).read_to_end(into)?;
            }
            Reader::Bytes(bytes) => {
                let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                into.extend_from_slice(&bytes[clamp(from)..clamp(to).max(clamp(from))]);
            }
        }
        Ok(())
    }
}
