//! Redactions: each is one that an erasure names, and nothing else was changed.
//!
//! A redacted entry or block has another content than its chain says. What stands for it is the entry that ended its
//! erasure: it is in a chain itself, and has the digest over all that was redacted, before and after.

use super::{Finding, finding, found};
use crate::service::{erasure_began, erasure_ended};
use farebox_core::calendar::Instant;
use farebox_store::{Digest, Entry, Erasure, Hash, Piece, Redaction, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// How the command of an entry begins that says what an erasure has come to.
const ENDED: &str = "{\"command\":\"account-erased\"";

/// What a store says of its erasures.
pub(super) struct Erasures {
    known: BTreeMap<String, Erasure>,
    /// The last redaction of each piece that was not looked at yet.
    left: BTreeMap<Piece, Redaction>,
    /// How many pieces were redacted.
    count: u64,
    /// By account.
    digests: BTreeMap<String, Digest>,
    /// Accounts whose erasure an entry says has begun, who wished it and when.
    began: BTreeMap<String, (String, Instant)>,
    /// Commands of entries without facts that say what an erasure has come to, with the group that they are in.
    ended: BTreeSet<(String, String)>,
}

impl Erasures {
    /// Reads what was redacted: each time a piece was, it must have been what the time before has left.
    pub fn read(store: &dyn Store, each: &mut dyn FnMut(Finding)) -> Result<Erasures, StoreError> {
        let known = found(store.erasures(), each)?.unwrap_or_default();
        let known = known.into_iter().map(|one| (one.account.clone(), one)).collect();
        let mut wrong = Vec::new();
        let (mut left, mut digests) = (BTreeMap::<Piece, Redaction>::new(), BTreeMap::new());
        let read = store.redactions(&mut |one| {
            let digest = digests.entry(one.erasure.clone()).or_insert_with(|| Digest::of(&one.erasure));
            digest.add(&one);
            let (chain, number) = one.piece.place();
            let before = left.insert(one.piece.clone(), one.clone());
            if before.is_some_and(|before| (before.after, before.original) != (one.before, one.original)) {
                let found = "what was redacted is not what the redaction before it had left";
                wrong.push(finding(format!("number {number} of the chain {chain}"), found));
            }
            Ok(())
        });
        found(read, each)?;
        wrong.into_iter().for_each(each);
        let count = left.len() as u64;
        Ok(Erasures { known, left, count, digests, began: BTreeMap::new(), ended: BTreeSet::new() })
    }

    /// Whether an account is being erased.
    pub fn is_going_on(&self, account: &str) -> bool {
        self.known.get(account).is_some_and(|one| one.ended.is_none())
    }

    /// What is wrong about a piece with this hash in its chain that is, or is not, redacted.
    pub fn wrong_about(&mut self, piece: &Piece, original: Hash, redacted: Option<Hash>) -> Option<String> {
        match (self.left.remove(piece), redacted) {
            (None, None) => None,
            (Some(one), Some(after)) if one.after == after && one.original == original => None,
            (Some(_), Some(_)) => Some("it is not what its redaction has left".to_owned()),
            (Some(_), None) => Some("it is said to be redacted, and is not".to_owned()),
            (None, Some(_)) => Some("it is redacted, and no erasure did that".to_owned()),
        }
    }

    /// Notes an entry that tells of an erasure.
    pub fn note(&mut self, group: &str, entry: &Entry) {
        if entry.facts.is_empty() {
            let of_group = |known: &&Erasure| known.group == group;
            for known in self.known.values().filter(of_group) {
                if entry.command == erasure_began(&known.account) {
                    let told = (entry.actor.clone(), entry.recorded_at);
                    self.began.insert(known.account.clone(), told);
                }
            }
            if entry.command.starts_with(ENDED) {
                self.ended.insert((group.to_owned(), entry.command.clone()));
            }
        }
    }

    /// Compares what was redacted with what entries say of it. Answers how many accounts are erased, and how many pieces
    /// were redacted.
    pub fn judge(self, each: &mut dyn FnMut(Finding)) -> (u64, u64) {
        for piece in self.left.keys() {
            let (chain, number) = piece.place();
            each(finding(
                format!("number {number} of the chain {chain}"),
                "it is said to be redacted, and is not there",
            ));
        }
        for account in self.digests.keys().filter(|account| !self.known.contains_key(*account)) {
            each(finding(
                format!("account \"{account}\""),
                "something was redacted for it, and it is not erased",
            ));
        }
        for (account, erasure) in &self.known {
            let place = || format!("the erasure of account \"{account}\"");
            match self.began.get(account) {
                None => each(finding(place(), "no entry of its group says that it has begun")),
                Some((actor, at)) if (actor, at) != (&erasure.actor, &erasure.began) => {
                    each(finding(place(), "who wished it, or when, is not what the entry of its group says"));
                }
                Some(_) => {}
            }
            let Some(digest) = erasure.digest.filter(|_| erasure.ended.is_some()) else { continue };
            let is = self.digests.get(account).map_or_else(|| Digest::of(account).hash(), Digest::hash);
            if is != digest || !self.ended.contains(&(erasure.group.clone(), erasure_ended(erasure, is))) {
                each(finding(place(), "what was redacted is not what the entry of its group says"));
            }
        }
        (self.known.len() as u64, self.count)
    }
}
