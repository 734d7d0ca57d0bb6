//! `farebox verify`, `backup` and `restore`: a store looked at, copied, and put back.

use crate::output::{self, Failure};
use farebox_core::account::Group;
use farebox_core::engine::Catalogues;
use farebox_server::{parse_all, parse_intact, verify_deeds};
use farebox_service::{Finding, Verified, verify};
use farebox_store::{Entry, GroupHead, Seen, Store, StoreError};
use farebox_store_sqlite::{Sqlite, restore};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How often a store is looked at again, where erasures overtake it.
const TRIES: u32 = 5;

#[derive(clap::Args)]
pub struct Verify {
    /// The folder of the store. A server may have it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[derive(clap::Args)]
pub struct Backup {
    /// The folder of the store. A server may have it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The file to write; it must not be there yet.
    file: PathBuf,
}

#[derive(clap::Args)]
pub struct Restore {
    /// The file that `farebox backup` wrote.
    file: PathBuf,
    /// The folder to put it into; it must have no store.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[derive(Serialize)]
struct Report {
    groups: u64,
    entries: u64,
    accounts: u64,
    blocks: u64,
    events: u64,
    erased: u64,
    redacted: u64,
    findings: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    place: String,
    found: String,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Other(error.to_string())
    }
}

pub fn verify_store(args: &Verify, as_json: bool) -> Result<ExitCode, Failure> {
    let mut tries = 0;
    let (done, findings) = loop {
        let store = Sqlite::open_to_read(&args.data).map_err(unopened)?;
        let looked = look(&store)?;
        tries += 1;
        // An erasure has written files anew that the store is still read with: they are no longer there.
        let is_overtaken = !looked.1.is_empty() && store.is_redacted_since().unwrap_or(false);
        if !is_overtaken || tries == TRIES {
            break looked;
        }
    };
    let report = Report {
        groups: done.groups,
        entries: done.entries,
        accounts: done.accounts,
        blocks: done.blocks,
        events: done.events,
        erased: done.erased,
        redacted: done.redacted,
        findings,
    };
    if as_json {
        output::json(&report)?;
    } else {
        let mut lines: Vec<String> =
            report.findings.iter().map(|Shown { place, found }| format!("{place}: {found}")).collect();
        let Report { groups, entries, accounts, blocks, events, .. } = &report;
        lines.push(format!(
            "{} wrong; looked at {groups} groups with {entries} entries, {accounts} accounts, {blocks} blocks with \
             {events} records of usage",
            if report.findings.is_empty() { "nothing is".to_owned() } else { format!("{} things are", report.findings.len()) },
        ));
        if report.erased > 0 {
            lines.push(format!(
                "{} accounts are erased, for which {} entries and blocks were redacted as their erasures say; what \
                 they were charged is not rated again",
                report.erased, report.redacted
            ));
        }
        output::text(&lines)?;
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// That the store cannot be opened: there is nothing that `farebox verify` could say of it.
fn unopened(error: StoreError) -> Failure {
    match error {
        StoreError::Corrupt { place, found } => Failure::Other(format!(
            "{place} is damaged so that it cannot be opened: {found}; restore a backup"
        )),
        other => other.into(),
    }
}

/// Looks at everything.
fn look(store: &Sqlite) -> Result<(Verified, Vec<Shown>), Failure> {
    let damage = store.damage().into_iter();
    let mut findings: Vec<Shown> = damage.map(|(place, found)| Shown { place, found }).collect();
    let mut wrong = Vec::new();
    let lists = parse_intact(store, &mut |error| wrong.push(error));
    let catalogues = lists.unwrap_or_else(|error| {
        wrong.push(error);
        Catalogues::default()
    });
    let mut note = |Finding { place, found }| findings.push(Shown { place, found });
    let done = verify(store, &catalogues, &mut note);
    let deeds = verify_deeds(store, &mut note);
    wrong.extend(deeds.err());
    let done = done.unwrap_or_else(|error| {
        wrong.push(error);
        Verified::default()
    });
    for error in wrong {
        match error {
            StoreError::Corrupt { place, found } | StoreError::System { place, found } => {
                findings.push(Shown { place, found });
            }
            other => return Err(other.into()),
        }
    }
    Ok((done, findings))
}

pub fn back_up(args: &Backup) -> Result<ExitCode, Failure> {
    Sqlite::open_to_read(&args.data)?.back_up(&args.file)?;
    Ok(ExitCode::SUCCESS)
}

pub fn put_back(args: &Restore) -> Result<ExitCode, Failure> {
    restore(&args.file, &args.data)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the groups of a store with its price lists, in the order of their names, one at a time in memory.
pub fn each_group(
    data: &Path,
    each: &mut dyn FnMut(&Catalogues, &Group) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let store = Sqlite::open_to_read(data)?;
    let catalogues = parse_all(&store)?;
    for GroupHead { group: name, .. } in store.groups()? {
        let mut group = Group::default();
        store.entries(&name, 0, &mut |kept| {
            let damaged = |found: String| StoreError::Corrupt {
                place: format!("entry {} of group \"{name}\"", kept.version),
                found,
            };
            let entry = Entry::from_record(&kept.record).map_err(|error| damaged(error.to_string()))?;
            entry.facts.iter().try_for_each(|fact| group.apply(fact).map_err(|error| damaged(error.0)))?;
            Ok(Seen::More)
        })?;
        each(&catalogues, &group)?;
    }
    Ok(())
}
