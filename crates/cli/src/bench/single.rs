//! Requests of one event each, over many connections, beside a server that merely answers.
//!
//! The two are asked in turn, some seconds each: on a machine that is shared, neither has all the quiet moments.

use super::limits;
use super::load::{Kept, Load, send};
use super::process::{Folder, Server};
use super::table::{Row, Table, Waits, grouped};
use std::io;
use std::path::Path;
use std::time::Duration;

const CONNECTIONS: u64 = 256;
const ACCOUNTS: u32 = 1_000;
/// Turns at most, each a second or longer.
const TURNS_MAX: u64 = 9;

pub fn measure(table: &mut Table, seconds: u64, within: &Path) -> io::Result<()> {
    let turns = seconds.clamp(1, TURNS_MAX);
    let lasts = Duration::from_secs(seconds) / turns as u32;
    let echo = limits::echo()?;
    let folder = Folder::new(within)?;
    let server = Server::start(&folder.0)?;
    server.furnish(ACCOUNTS)?;
    // The bare server is sent the same bytes.
    let token = server.token();
    let (mut bare, mut kept) = (Turns::default(), Turns::default());
    for seed in 0..turns {
        let load =
            Load { connections: CONNECTIONS, batch: 1, accounts: ACCOUNTS, days: 1, lasts, events: 0, seed };
        bare.note(send(&|| echo.connect(Some(token)), "/echo", load, None)?);
        kept.note(send(&|| server.connect(), "/v1/usage", load, Some("\"accepted\":1"))?);
    }
    let ratios: Vec<f64> = kept.rates.iter().zip(&bare.rates).map(|(kept, bare)| kept / bare).collect();
    let (least, most) = ratios.iter().fold((f64::MAX, 0.0), |(a, b), ratio| (ratio.min(a), ratio.max(b)));
    table.row(&Row {
        what: format!(
            "requests of one event, durable, over {CONNECTIONS} connections; medians of {turns} turns, with ratios \
             from {least:.2} to {most:.2}"
        ),
        figure: format!("{} requests/s; {}", grouped(median(&kept.rates)), Waits::all(kept.waits).shown()),
        beside: format!(
            "a bare axum echo {} requests/s; {}",
            grouped(median(&bare.rates)),
            Waits::all(bare.waits).shown()
        ),
        ratio: Some(median(&ratios)),
        aim: "0.7",
    });
    Ok(())
}

/// What came of each turn.
#[derive(Default)]
struct Turns {
    rates: Vec<f64>,
    waits: Vec<Waits>,
}

impl Turns {
    fn note(&mut self, kept: Kept) {
        self.rates.push(kept.rate);
        self.waits.push(kept.waits);
    }
}

fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    let (below, above) = (all.len().saturating_sub(1) / 2, all.len() / 2);
    let at = |place: usize| all.get(place).copied().unwrap_or_default();
    (at(below) + at(above)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
    }
}
