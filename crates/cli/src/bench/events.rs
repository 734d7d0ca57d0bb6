//! Usage to load a server with: CloudEvents of about 210 bytes, each with a random id.

/// Random numbers that are quick to make: xorshift with a multiplication.
pub struct Random(u64);

impl Random {
    /// Another seed gives other numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// One below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A body of events, one a line, whose ids are made anew for each request.
pub struct Body {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    random: Random,
}

/// When the events were.
pub const MONTH: &str = "2026-02";

/// The digits of a number, all eight at once: the load takes its share of the same processors.
fn hexadecimal(number: u32) -> [u8; 8] {
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_FFFF_0000_FFFF;
    digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF;
    digits = (digits | digits << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    let letters = ((digits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1)).to_le_bytes()
}

/// Characters of an id: those of a UUID without its hyphens.
const ID_CHARS: usize = 32;

impl Body {
    /// A body of `events` of `accounts` accounts `a0`, `a1`, …, at any time of the first `days` days of the month that
    /// they are measured in, at most 28.
    pub fn new(events: usize, accounts: u32, days: u64, seed: u64) -> Body {
        let mut random = Random::new(seed);
        let (mut bytes, mut ids) = (Vec::new(), Vec::new());
        for _ in 0..events {
            bytes.extend_from_slice(br#"{"specversion":"1.0","id":""#);
            ids.push(bytes.len());
            bytes.extend_from_slice(&[b'0'; ID_CHARS]);
            let (account, second) =
                (random.below(u64::from(accounts)), random.below(days.clamp(1, 28) * 86_400));
            let (day, rest) = (second / 86_400 + 1, second % 86_400);
            let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
            let time = format!("{MONTH}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
            let seconds = random.below(600);
            let connected = if seconds > 0 { "yes" } else { "no" };
            let number = random.below(10_000);
            let rest = format!(
                "\",\"source\":\"switch-7\",\"type\":\"call\",\"subject\":\"a{account}\",\"time\":\"{time}\",\
                 \"data\":{{\"seconds\":{seconds},\"connected\":\"{connected}\",\"to\":\"+861380000{number:04}\"}}}}\n"
            );
            bytes.extend_from_slice(rest.as_bytes());
        }
        Body { bytes, ids, random }
    }

    /// The same events under new ids.
    pub fn next(&mut self) -> &[u8] {
        for at in &self.ids {
            for part in self.bytes[*at..*at + ID_CHARS].as_chunks_mut::<16>().0 {
                let number = self.random.next();
                part[..8].copy_from_slice(&hexadecimal(number as u32));
                part[8..].copy_from_slice(&hexadecimal((number >> 32) as u32));
            }
        }
        &self.bytes
    }

    /// The events as they are now.
    pub fn last(&self) -> &[u8] {
        &self.bytes
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_written_the_lowest_first() {
        assert_eq!(&hexadecimal(0x9a0f_1234), b"4321f0a9");
        assert_eq!(&hexadecimal(0xbcde_5678), b"8765edcb");
    }
}
