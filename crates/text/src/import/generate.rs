//! Usage files for measuring and testing: as real ones look, and the same for the same seed.

use std::io::{self, Write};

/// A small random number generator (SplitMix64), so that a file does not depend on a library's
/// version.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// From 0 to before `n`.
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }
}

/// Companies by their dialplan contexts; a rule maps each to an account.
pub const CONTEXTS: [&str; 8] = [
    "acme-pstn",
    "globex-pstn",
    "initech-pstn",
    "umbrella-pstn",
    "hooli-out",
    "stark-out",
    "wayne-out",
    "wonka-out",
];

/// Writes `rows` rows of an Asterisk `Master.csv` with 21 columns, about 280 bytes each, times in
/// UTC from 2026-01-01 on. Calls have two rows on average; there are `Local/…` legs, unanswered
/// rows with billsec, a few repeated rows, quotes and foreign bytes in caller names.
///
/// # Errors
///
/// Those of `out`.
pub fn asterisk(rows: u64, seed: u64, out: &mut impl Write) -> io::Result<()> {
    let mut random = Random(seed);
    let mut now = 1_767_225_600u64;
    let (mut written, mut channel, mut sequence) = (0, 0u64, 0u64);
    let mut recent: Vec<Vec<u8>> = Vec::new();
    let mut line = Vec::with_capacity(512);
    while written < rows {
        if random.percent(40) {
            now += 1;
        }
        let context = CONTEXTS[random.below(8) as usize];
        let number = 49_301_000_000 + random.below(100_000_000);
        let extension = 551_000 + random.below(600);
        let linked = (now, channel);
        let trunk = format!("SIP/{extension}-{channel:08x}");
        let name = match random.below(50) {
            0 => b"\"\"Caf\xE9 \xF0\"\" ".to_vec(),
            1 => b"Smith, \"\"J\"\" ".to_vec(),
            _ => format!("\"\"{number}\"\" ").into_bytes(),
        };
        let legs = match random.below(10) {
            0..=4 => 1,
            5..=7 => 2,
            8 => 3,
            _ => 6,
        };
        let ring = random.below(25);
        let talk = random.below(60) * random.below(11);
        for leg in 0..legs {
            // The last leg is the one that is answered, if any is.
            let last = leg + 1 == legs;
            let answered = last && random.percent(75);
            let local = !last && random.percent(60);
            let unique = if leg == 0 || !local { linked } else { (now, channel + 2 * leg) };
            let (from, to) = if local {
                (
                    format!("Local/ch{leg}@TimeDelay-{channel:08x};2"),
                    format!("SIP/30{leg}-{:08x}", channel + 2 * leg + 1),
                )
            } else {
                (
                    trunk.clone(),
                    if leg == 0 && legs == 1 {
                        String::new()
                    } else {
                        format!("SIP/acmepbx-{:08x}", channel + leg)
                    },
                )
            };
            let start = now + if leg == 0 { 0 } else { ring };
            let billed = if answered || random.percent(8) { talk } else { 0 };
            let disposition = match (answered, random.below(12)) {
                (true, _) => "ANSWERED",
                (_, 0) => "BUSY",
                (_, 1) => "FAILED",
                (_, 2) if local => "ANSWERED",
                _ => "NO ANSWER",
            };
            let answer = if disposition == "ANSWERED" || billed > 0 {
                format!("\"{}\"", stamp(start + ring))
            } else {
                String::new()
            };
            let application = if to.is_empty() {
                ("Hangup", String::new())
            } else {
                ("Dial", format!("SIP/{extension}&SIP/200@acmepbx,60,t"))
            };
            line.clear();
            write!(line, "\"\",\"{number}\",\"{extension}\",\"{context}\",\"")?;
            line.extend_from_slice(&name);
            writeln!(
                line,
                "<{number}>\",\"{from}\",\"{to}\",\"{}\",\"{}\",\"{}\",{answer},\"{}\",{},{billed},\"{disposition}\",\
                 \"DOCUMENTATION\",\"{}.{}\",\"\",\"\",\"{}.{}\",{sequence}",
                application.0,
                application.1,
                stamp(start),
                stamp(start + ring + billed),
                ring + billed,
                unique.0,
                unique.1,
                linked.0,
                linked.1,
            )?;
            sequence += 1;
            out.write_all(&line)?;
            written += 1;
            if recent.len() < 64 {
                recent.push(line.clone());
            } else if random.below(20) == 0 {
                let at = random.below(64) as usize;
                recent[at] = line.clone();
            }
            if written < rows && random.below(500) == 0 {
                let again = random.below(recent.len() as u64) as usize;
                out.write_all(&recent[again])?;
                written += 1;
            }
            if written == rows {
                break;
            }
        }
        channel += 2 * legs + 2;
    }
    Ok(())
}

/// `2026-01-01 00:00:00` in UTC.
fn stamp(seconds: u64) -> String {
    let at = super::time::instant(seconds as i64, 0);
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
