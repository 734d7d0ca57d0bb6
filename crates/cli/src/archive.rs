//! Usage that is old enough leaves the store's file: `farebox archive`, and what a server does now and then.

use crate::output::{self, Failure};
use farebox_server::engine::{Engine, Unavailable};
use farebox_store::{Archive, Batch, Store};
use farebox_store_sqlite::{ARCHIVE, Sqlite};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How often a server looks whether there is anything to archive.
const LOOK_EACH: Duration = Duration::from_secs(3_600);

#[derive(clap::Args)]
pub struct Args {
    /// The folder of the store. No server may have it: a server does this itself (`--usage-months`).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Usage that is timed more than so many months before the store's clock moves to Parquet files, and is closed: what
    /// comes for these months after that is in quarantine.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_200))]
    usage_months: u32,
}

#[derive(Serialize)]
struct Shown {
    file: String,
    blocks: usize,
    bytes: u64,
    before: String,
}

/// The beginning of the calendar month, UTC, so many months before a moment. `None`: before all time.
fn horizon(now: Timestamp, months: u32) -> Option<Timestamp> {
    let first = now.to_zoned(TimeZone::UTC).date().first_of_month();
    let first = first.checked_sub(jiff::Span::new().try_months(i64::from(months)).ok()?).ok()?;
    first.to_zoned(TimeZone::UTC).ok().map(|moment| moment.timestamp())
}

pub fn run(args: &Args, as_json: bool) -> Result<ExitCode, Failure> {
    let mut store = Sqlite::open_there(&args.data)?;
    let before = store.clock()?.and_then(|now| horizon(now, args.usage_months));
    let mut files = Vec::new();
    if let Some(before) = before
        && store.is_settled(before)?
    {
        store.commit(&Batch { horizon: Some(before), ..Batch::default() })?;
    }
    while let Some(before) = before
        && let Some(archive) = Sqlite::write_archive(&args.data, before)?
    {
        store.put_away(&archive)?;
        files.push(Shown {
            file: format!("{ARCHIVE}/{}", archive.file),
            blocks: archive.blocks.len(),
            bytes: archive.size,
            before: before.to_string(),
        });
    }
    if as_json {
        output::json(&files)?;
    } else if files.is_empty() {
        output::text(&["nothing to archive".to_owned()])?;
    } else {
        let line = |one: &Shown| {
            format!("{}: {} blocks of usage before {}, {} bytes", one.file, one.blocks, one.before, one.bytes)
        };
        output::text(&files.iter().map(line).collect::<Vec<_>>())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Archives what is old enough, as long as the server runs. Files are written on a thread of their own; the engine only
/// lets go of what is in them.
pub async fn keep(engine: Engine, data: PathBuf, months: u32) {
    loop {
        match one(&engine, &data, months).await {
            Ok(Some(archive)) => {
                let (file, blocks, bytes) = (&archive.file, archive.blocks.len(), archive.size);
                tracing::info!(file, blocks, bytes, before = %archive.before, "archived usage");
                continue;
            }
            Ok(None) => {}
            Err(Failed::Stopping) => return,
            Err(Failed::Because(error)) => tracing::error!(error, "usage cannot be archived"),
        }
        tokio::time::sleep(LOOK_EACH).await;
    }
}

enum Failed {
    Stopping,
    Because(String),
}

impl From<Unavailable> for Failed {
    fn from(unavailable: Unavailable) -> Failed {
        match unavailable {
            Unavailable::Stopping => Failed::Stopping,
            other => Failed::Because(other.to_string()),
        }
    }
}

/// Archives one file's worth.
async fn one(engine: &Engine, data: &std::path::Path, months: u32) -> Result<Option<Archive>, Failed> {
    let moved = engine.ask(move |service| {
        let (known, before) = (service.horizon(), horizon(service.clock(), months)?);
        service.move_horizon(before).then_some((before, known < service.horizon()))
    });
    let Some((before, is_new)) = moved.await? else { return Ok(None) };
    if is_new {
        tracing::info!(%before, "closed usage");
    }
    let folder = data.to_owned();
    let because = |error: &dyn std::fmt::Display| Failed::Because(error.to_string());
    let written = tokio::task::spawn_blocking(move || Sqlite::write_archive(&folder, before)).await;
    let Some(archive) = written.map_err(|error| because(&error))?.map_err(|error| because(&error))? else {
        return Ok(None);
    };
    let own = archive.clone();
    let put_away = engine.ask(move |service| service.put_away(&own)).await?;
    put_away.map(|()| Some(archive)).map_err(|error| because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_is_the_beginning_of_a_month() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(horizon(at("2026-03-31T12:00:00Z"), 1), Some(at("2026-02-01T00:00:00Z")));
        assert_eq!(horizon(at("2026-01-01T00:00:00Z"), 13), Some(at("2024-12-01T00:00:00Z")));
        assert_eq!(horizon(Timestamp::MIN, 1_200), None);
    }
}
