//! Access keys: who they are, what may be done with them, how often (docs/access.md).
//!
//! A token is `fbx_ID_SECRET`. The secret is 256 bits that the system chose; only its hash is kept. What is checked
//! with each request is in memory; the store has it for the next start.

use farebox_api::Role;
use farebox_service::{Decided, Service};
use farebox_store::{AccessKey, Hash, StoreError};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Whose first key it is.
pub(crate) const SERVER: &str = "serve";
/// What the entry says that a key is made by.
pub(crate) fn made_entry(key: &AccessKey) -> Value {
    json!({"command": "make-key", "key": key.id, "role": key.role, "account": key.account})
}

/// The last use of a key is kept this often at most.
const NOTE_EACH: Duration = Duration::from_secs(3_600);

/// Which roles may send which command, besides the operator, who may send all.
const COMMANDS: &[(&str, &[Role])] = {
    use Role::{Customer, Finance, Integrator, Support};
    &[
        ("open", &[]),
        ("subscribe", &[Customer]),
        ("add", &[Customer]),
        ("remove", &[Customer]),
        ("cancel", &[Customer]),
        ("unsubscribe", &[Customer]),
        ("stop", &[Customer]),
        ("start", &[Customer]),
        ("renew", &[Customer]),
        ("change-mode", &[Customer]),
        ("change-plan", &[Customer]),
        ("change-attribute", &[Customer]),
        ("auto-renew", &[Support, Customer]),
        ("migrate-balance", &[]),
        ("migrate-term", &[]),
        ("discount", &[Finance]),
        ("price", &[Finance]),
        ("topup", &[Finance]),
        ("payout", &[Finance]),
        ("coupon", &[Finance]),
        ("pay", &[Finance]),
        ("write-off", &[Finance]),
        ("credit", &[Finance]),
        ("charge", &[Finance]),
        ("adjust", &[Finance]),
        ("hold-bill", &[Finance]),
        ("release-bill", &[Finance]),
        ("due-date", &[Finance]),
        ("credit-limit", &[Finance]),
        ("credit-limit-off", &[Finance]),
        ("use", &[Finance, Support, Integrator, Customer]),
        ("licence", &[Integrator, Customer]),
        ("reset", &[Support, Customer]),
        ("hold", &[Integrator]),
        ("extend", &[Integrator]),
        ("release", &[Support, Integrator]),
        ("share", &[Support, Customer]),
        ("keep", &[Support, Customer]),
        ("budget", &[Finance, Customer]),
        ("budget-off", &[Finance, Customer]),
        ("tier", &[Finance]),
        ("suspend", &[Finance]),
        ("resume", &[Finance]),
    ]
};

/// Every command, with the roles that may send it besides the operator.
pub fn commands() -> &'static [(&'static str, &'static [Role])] {
    COMMANDS
}

/// Whether a role may send a command.
pub fn may(role: Role, command: &str) -> bool {
    let listed = COMMANDS.iter().find(|(word, _)| *word == command);
    role == Role::Operator || listed.is_some_and(|(_, roles)| roles.contains(&role))
}

/// A key in use.
pub(crate) struct Holder {
    key: AccessKey,
    role: Role,
    /// What follows stays when the key changes.
    bucket: Arc<Mutex<Bucket>>,
    /// When its use was kept, and how often the clock had been moved then.
    noted: Arc<Mutex<Option<(Instant, u64)>>>,
}

/// How many requests are left.
struct Bucket {
    left: f64,
    at: Instant,
}

/// What is left of a limit after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Requests in a minute.
    pub limit: u32,
    pub remaining: u32,
    /// Whole seconds until all are there again.
    pub until_full_s: u64,
    /// Whole seconds until the next one may be.
    pub until_next_s: u64,
    pub is_allowed: bool,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics with the lock; what is behind it is whole in any case.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Holder {
    fn of(key: AccessKey, role: Role, limit: u32) -> Holder {
        let bucket = Arc::new(Mutex::new(Bucket { left: f64::from(limit), at: Instant::now() }));
        Holder { key, role, bucket, noted: Arc::default() }
    }

    pub fn id(&self) -> &str {
        &self.key.id
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Of a customer's key: the account whose tree it is for.
    pub fn account(&self) -> Option<&str> {
        self.key.account.as_deref()
    }

    pub fn key(&self) -> &AccessKey {
        &self.key
    }

    /// Whether its use is to be kept: not more often than once an hour, unless the clock was moved.
    fn is_to_be_noted(&self, now: Instant, moves: u64) -> bool {
        let mut noted = lock(&self.noted);
        let is_due =
            noted.is_none_or(|(noted, before)| moves != before || now.duration_since(noted) >= NOTE_EACH);
        if is_due {
            *noted = Some((now, moves));
        }
        is_due
    }

    /// Counts a request against so many in a minute.
    fn count(&self, limit: u32, now: Instant) -> Left {
        let mut bucket = lock(&self.bucket);
        let (most, per_second) = (f64::from(limit), f64::from(limit) / 60.0);
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * per_second).min(most);
        bucket.at = now;
        let is_allowed = bucket.left >= 1.0;
        if is_allowed {
            bucket.left -= 1.0;
        }
        let until = |wished: f64| ((wished - bucket.left) / per_second).ceil().max(1.0) as u64;
        let (until_full_s, until_next_s) = (until(most), until(1.0));
        Left { limit, remaining: bucket.left as u32, until_full_s, until_next_s, is_allowed }
    }
}

/// Every key of a store, as requests are checked with.
#[derive(Clone)]
pub struct Access(Arc<Keys>);

struct Keys {
    by_id: RwLock<HashMap<String, Arc<Holder>>>,
    /// Requests in a minute, of those who have a limit.
    limit: u32,
    /// How often a test clock was moved.
    moves: AtomicU64,
}

/// A key that was just made.
pub(crate) struct Made {
    pub key: AccessKey,
    pub token: String,
}

impl Access {
    /// The keys of a store. Where it has none of an operator, or `another` is wished, one is made: its token is
    /// answered, and is nowhere else. It is shown first: where that fails, the key is not kept, and the next start makes
    /// another.
    ///
    /// `per_minute`: how many requests of a customer, of finance and of support are done in a minute; of machines and
    /// of the operator all are.
    ///
    /// # Errors
    /// When the store fails, the system has no randomness, or the token cannot be shown.
    pub fn open(
        service: &mut Service,
        per_minute: u32,
        another: bool,
        show: impl FnOnce(&str) -> std::io::Result<()>,
    ) -> Result<(Access, Option<String>), StoreError> {
        let keys = Keys { by_id: RwLock::default(), limit: per_minute.max(1), moves: AtomicU64::new(0) };
        let access = Access(Arc::new(keys));
        let mut has_operator = false;
        for key in service.keys()? {
            has_operator |= key.role == Role::Operator.name() && key.revoked.is_none();
            access.put(key)?;
        }
        if has_operator && !another {
            return Ok((access, None));
        }
        let made = access.make(service, "first operator", Role::Operator, None, SERVER)?;
        let command = made_entry(&made.key).to_string();
        service.note_deed(Decided { actor: SERVER, command: &command, at: made.key.created })?;
        if let Err(error) = show(&made.token) {
            service.forget()?;
            return Err(StoreError::System {
                place: "the operator's key cannot be shown, and was not kept".to_owned(),
                found: error.to_string(),
            });
        }
        service.commit()?;
        access.put(made.key)?;
        Ok((access, Some(made.token)))
    }

    /// Makes a key; it counts once it is committed and [`Access::put`].
    pub(crate) fn make(
        &self,
        service: &mut Service,
        label: &str,
        role: Role,
        account: Option<String>,
        by: &str,
    ) -> Result<Made, StoreError> {
        let secret = hex(&random::<32>()?);
        let id = hex(&random::<6>()?);
        let key = AccessKey {
            id: id.clone(),
            hash: hash(&secret),
            label: label.to_owned(),
            role: role.name().to_owned(),
            account,
            created: service.clock(),
            created_by: by.to_owned(),
            revoked: None,
            revoked_by: None,
            used: None,
        };
        service.keep_key(key.clone());
        Ok(Made { key, token: format!("fbx_{id}_{secret}") })
    }

    /// Lets a key count as it is now.
    pub(crate) fn put(&self, key: AccessKey) -> Result<(), StoreError> {
        let role = Role::parse(&key.role).ok_or_else(|| StoreError::Corrupt {
            place: format!("access key {}", key.id),
            found: format!("the role \"{}\"", key.role),
        })?;
        let mut by_id = self.0.by_id.write().unwrap_or_else(PoisonError::into_inner);
        let mut holder = Holder::of(key, role, self.0.limit);
        if let Some(before) = by_id.get(holder.id()) {
            (holder.bucket, holder.noted) = (before.bucket.clone(), before.noted.clone());
        }
        by_id.insert(holder.id().to_owned(), Arc::new(holder));
        Ok(())
    }

    pub(crate) fn holder(&self, id: &str) -> Option<Arc<Holder>> {
        self.0.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Every key, by its id.
    pub(crate) fn all(&self) -> Vec<Arc<Holder>> {
        let by_id = self.0.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Arc<Holder>> = by_id.values().cloned().collect();
        all.sort_by(|one, other| one.id().cmp(other.id()));
        all
    }

    /// The key of a token. `None`: there is none, or it was revoked.
    pub(crate) fn of_token(&self, token: &str) -> Option<Arc<Holder>> {
        let (id, secret) = token.strip_prefix("fbx_")?.split_once('_')?;
        let holder = self.holder(id)?;
        // The hashes are compared in a time that does not depend on them.
        let is_it = blake3::Hash::from_bytes(holder.key.hash.0) == blake3::hash(secret.as_bytes());
        (is_it && holder.key.revoked.is_none()).then_some(holder)
    }

    /// Whether the use of a key is to be kept.
    pub(crate) fn is_to_be_noted(&self, holder: &Holder, now: Instant) -> bool {
        holder.is_to_be_noted(now, self.0.moves.load(Ordering::Relaxed))
    }

    /// A test clock was moved: what was an hour by it may have gone by.
    pub(crate) fn clock_moved(&self) {
        self.0.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request. `None`: the role has no limit.
    pub(crate) fn count(&self, holder: &Holder, now: Instant) -> Option<Left> {
        match holder.role {
            Role::Operator | Role::Integrator => None,
            Role::Finance | Role::Support | Role::Customer => Some(holder.count(self.0.limit, now)),
        }
    }
}

fn hash(secret: &str) -> Hash {
    Hash(*blake3::hash(secret.as_bytes()).as_bytes())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Randomness of the system.
pub fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::System {
        place: "the system's randomness".to_owned(),
        found: error.to_string(),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_api::command;
    use farebox_core::engine::Catalogues;
    use farebox_store::Memory;

    fn service() -> Service {
        let clock = "2026-01-01T00:00:00Z".parse().unwrap();
        Service::open(Box::new(Memory::new()), Catalogues::default(), clock).unwrap()
    }

    #[test]
    fn every_command_has_its_roles() {
        let listed: Vec<&str> = COMMANDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(listed, command::COMMANDS);
        assert!(may(Role::Operator, "open") && !may(Role::Customer, "topup") && !may(Role::Customer, "no"));
    }

    #[test]
    fn a_token_is_good_until_its_key_is_revoked() {
        let mut service = service();
        let (access, first) = Access::open(&mut service, 60, false, |_| Ok(())).unwrap();
        let token = first.unwrap();
        let holder = access.of_token(&token).unwrap();
        assert_eq!((holder.role(), holder.key().created_by.as_str()), (Role::Operator, "serve"));
        assert_eq!(token.len(), "fbx_".len() + 12 + 1 + 64);
        assert!(!token.contains(&hex(&holder.key().hash.0)), "the hash is not the secret");
        for wrong in ["", "fbx_", &token[4..], &token[..token.len() - 1], &format!("{token}0")] {
            assert!(access.of_token(wrong).is_none(), "{wrong}");
        }
        // A second start makes no other, unless it is told to.
        let (_, none) = Access::open(&mut service, 60, false, |_| Ok(())).unwrap();
        assert_eq!(none, None);
        let (again, another) = Access::open(&mut service, 60, true, |_| Ok(())).unwrap();
        assert!(again.of_token(&another.unwrap()).is_some() && again.of_token(&token).is_some());
        let revoked = AccessKey { revoked: Some(service.clock()), ..holder.key().clone() };
        access.put(revoked).unwrap();
        assert!(access.of_token(&token).is_none());
    }

    #[test]
    fn a_key_that_cannot_be_shown_is_not_kept() {
        let mut service = service();
        let gone = |_: &str| Err(std::io::Error::other("nobody listens"));
        let Err(error) = Access::open(&mut service, 60, false, gone) else { panic!("a key that nobody has") };
        assert!(error.to_string().contains("cannot be shown, and was not kept: nobody listens"), "{error}");
        service.commit().unwrap();
        assert_eq!(service.keys(), Ok(Vec::new()));
        let (_, first) = Access::open(&mut service, 60, false, |_| Ok(())).unwrap();
        assert!(first.is_some(), "the next start makes another");
    }

    #[test]
    fn a_limit_fills_again_with_time() {
        let mut service = service();
        let (access, _) = Access::open(&mut service, 60, false, |_| Ok(())).unwrap();
        let made = access.make(&mut service, "a", Role::Customer, Some("acme".to_owned()), "b").unwrap();
        access.put(made.key).unwrap();
        let holder = access.of_token(&made.token).unwrap();
        let start = Instant::now();
        for left in (0..60).rev() {
            let counted = access.count(&holder, start).unwrap();
            assert_eq!((counted.remaining, counted.is_allowed), (left, true));
        }
        let refused = access.count(&holder, start).unwrap();
        assert_eq!((refused.is_allowed, refused.until_next_s, refused.until_full_s), (false, 1, 60));
        assert!(access.count(&holder, start + Duration::from_secs(1)).unwrap().is_allowed);
        assert!(!access.count(&holder, start + Duration::from_secs(1)).unwrap().is_allowed);
        let full = access.count(&holder, start + Duration::from_secs(3_600)).unwrap();
        assert_eq!((full.remaining, full.until_full_s), (59, 1));
        let is_noted = |seconds| access.is_to_be_noted(&holder, start + Duration::from_secs(seconds));
        assert!(is_noted(0) && !is_noted(60), "not with each request");
        assert!(is_noted(3_600));
        access.clock_moved();
        assert!(is_noted(3_601) && !is_noted(3_602), "once more by a clock that was moved");
    }
}
