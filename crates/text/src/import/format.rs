//! A file's format made ready: what its threads share.

use super::access_log;
use super::asterisk;
use super::cloudevents::CLOUDEVENTS;
use super::connect::AMAZON_CONNECT;
use super::freeswitch;
use super::kamailio::KAMAILIO;
use super::record::Parser;
use super::records;
use super::scan::ROW_BYTES_MAX;
use super::spec::{ImportSpec, Input, Preset};
use super::table;
use super::twilio::TWILIO;
use crate::diagnostic::Diagnostic;
use std::sync::Arc;

/// One file, checked and ready to be read.
pub(super) struct FilePlan {
    pub(super) file: String,
    pub(super) source: String,
    pub(super) input: Input,
    /// Bytes before the first row: a byte order mark, a header line.
    pub(super) begin: u64,
    /// Lines before the first row.
    pub(super) lines: u64,
    /// The size that the file had at the beginning.
    pub(super) len: u64,
    /// Whether calls made of legs say how long they lasted from their start.
    pub(super) durations: bool,
    format: Format,
}

enum Format {
    Asterisk(Arc<asterisk::Plan>),
    AccessLog(Arc<access_log::Plan>),
    Table(Arc<table::Plan>),
    Records(Arc<records::Plan>),
}

impl FilePlan {
    /// Looks at the specification and the beginning of the file.
    pub(super) fn new(spec: &ImportSpec, input: Input, file: u16) -> Result<FilePlan, Diagnostic> {
        let unreadable = |e: std::io::Error| spec.wrong(format!("it cannot be read: {e}"), "a plain file");
        let len = input.len().map_err(unreadable)?;
        let mut head = Vec::new();
        let mut reader = input.open().map_err(unreadable)?;
        reader.read(0, len.min(ROW_BYTES_MAX as u64), &mut head).map_err(unreadable)?;
        let mark = if head.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let whole = head.len() as u64 == len;
        let head = &head[mark..];
        let source = spec.source.clone().unwrap_or_else(|| spec.preset.name().into());
        let (mut begin, mut lines) = (mark as u64, 0);
        let records = |dialect| -> Result<Format, Diagnostic> {
            Ok(Format::Records(Arc::new(records::Plan::new(dialect, spec, &source, head, file)?)))
        };
        let format = match spec.preset {
            Preset::Asterisk => Format::Asterisk(Arc::new(asterisk::Plan::new(spec, &source, file)?)),
            Preset::AccessLog => Format::AccessLog(Arc::new(access_log::Plan::new(spec, &source)?)),
            Preset::Csv => {
                let (plan, header) = table::Plan::new(spec, &source, head, whole)?;
                begin += header.bytes as u64;
                lines = header.lines;
                Format::Table(Arc::new(plan))
            }
            Preset::CloudEvents => records(&CLOUDEVENTS)?,
            Preset::AmazonConnect => records(&AMAZON_CONNECT)?,
            Preset::FreeSwitchCsv => records(&freeswitch::CSV)?,
            Preset::FreeSwitchJson => records(&freeswitch::JSON)?,
            Preset::Kamailio => records(&KAMAILIO)?,
            Preset::Twilio => records(&TWILIO)?,
        };
        let durations = spec.attributes.wants("duration");
        Ok(FilePlan { file: spec.file.clone(), source, input, begin, lines, len, durations, format })
    }

    pub(super) fn parser(&self) -> Box<dyn Parser> {
        match &self.format {
            Format::Records(plan) => Box::new(plan.parser()),
            Format::Asterisk(plan) => Box::new(plan.parser()),
            Format::AccessLog(plan) => Box::new(plan.parser()),
            Format::Table(plan) => Box::new(plan.parser()),
        }
    }

    /// Whether its rows are legs, of which rules make values that are shared.
    pub(super) fn interns(&self) -> bool {
        match &self.format {
            Format::Asterisk(_) => true,
            Format::Records(plan) => plan.moments(),
            Format::AccessLog(_) | Format::Table(_) => false,
        }
    }

    pub(super) fn unreadable(&self, error: std::io::Error) -> Diagnostic {
        Diagnostic {
            file: self.file.clone(),
            line: 0,
            column: 0,
            found: format!("it cannot be read: {error}"),
            expected: String::new(),
            suggestion: None,
        }
    }
}
