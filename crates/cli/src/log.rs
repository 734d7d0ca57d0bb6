//! What a server says while it runs, on standard error: a line for each event, as text or as JSON.

use std::io;
use std::str::FromStr;
use tracing::Level;

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

/// Writes events of this level, and graver ones, from now on.
pub fn start(level: Level, form: Form) {
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_target(false);
    match form {
        Form::Text => lines.with_ansi(false).init(),
        Form::Json => lines.json().flatten_event(true).init(),
    }
}
