//! Random histories over price lists: the same from the same seed on every machine.
//!
//! Shared by the comparison with the oracle and the invariants. What may be ordered and used follows
//! from the price lists themselves, so that a new one needs a line in [`world`] and no more.

pub mod check;
pub mod dice;
pub mod life;
pub mod orders;
pub mod packages;
pub mod sessions;
pub mod show;
pub mod story;
pub mod usage;
pub mod wallet;
pub mod world;
