//! `farebox erase`: an account's personal values made unreadable where no server runs.

use crate::output::{self, Failure};
use farebox_server::{parse_all, random};
use farebox_service::{Decided, NotErased, Service};
use farebox_store::Store;
use farebox_store_sqlite::Sqlite;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Who wishes it, in the audit trail.
const ACTOR: &str = "erase";

#[derive(clap::Args)]
pub struct Args {
    /// The account. It must be finished: nothing runs, nothing is owed, nothing is left.
    account: String,
    /// The folder of the store. No server may have it: a server is asked itself (`POST /v1/accounts/ACCOUNT/erase`).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[derive(Serialize)]
struct Shown {
    account: String,
    erased_at: Option<String>,
    entries: u64,
    blocks: u64,
    events: u64,
    files: u64,
    answers: u64,
}

pub fn run(args: &Args, as_json: bool) -> Result<ExitCode, Failure> {
    let store = Sqlite::open_there(&args.data)?;
    let catalogues = parse_all(&store)?;
    let clock = store.clock()?.unwrap_or_else(jiff::Timestamp::now);
    let mut service = Service::open(Box::new(store), catalogues, clock)?;
    let decided = Decided { actor: ACTOR, command: "", at: clock };
    let account = args.account.as_str();
    service.erase(account, random()?, decided).map_err(|why| {
        Failure::Other(match why {
            NotErased::NotThere => format!("there is no account {account:?}"),
            NotErased::InUse(remains) => {
                format!("{account} is not finished ({}): {}", NotErased::IN_USE, remains.join("; "))
            }
            NotErased::Failed(failed) => failed.to_string(),
        })
    })?;
    while service.erase_some()? {}
    let Some(done) = service.erasure(account) else {
        return Err(Failure::Other(format!("{account} is not erased")));
    };
    let shown = Shown {
        account: done.account.clone(),
        erased_at: done.ended.map(|at| at.to_string()),
        entries: done.entries,
        blocks: done.blocks,
        events: done.events,
        files: done.files,
        answers: done.answers,
    };
    if as_json {
        output::json(&shown)?;
    } else {
        let Shown { entries, blocks, events, files, answers, .. } = &shown;
        output::text(&[format!(
            "{account} is erased: {entries} entries, {events} records of usage in {blocks} blocks, \
             {files} files of the archive written anew, {answers} kept answers removed"
        )])?;
    }
    Ok(ExitCode::SUCCESS)
}
