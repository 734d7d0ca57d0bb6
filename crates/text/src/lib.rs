//! Text in, core values out; errors with positions.

pub mod book;
pub mod catalog;
pub mod diagnostic;
pub mod import;
