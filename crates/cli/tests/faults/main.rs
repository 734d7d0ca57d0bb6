//! What can go wrong around a real server: more than it can do, clients that mean harm or have died, disks that are
//! full or read-only, files that are damaged, clocks that go back. Nothing that was answered is lost, nothing is
//! counted twice, and it goes on when it can.

mod clients;
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod disk;
mod overload;
#[path = "../common/server.rs"]
mod server;
