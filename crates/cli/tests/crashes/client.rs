//! A client of a server that is killed now and then. It asks again what was not answered, as it was, and never what
//! was: a thing that was answered and then lost stays lost.

use crate::histories::dice::Dice;
use crate::http::Connection;
use crate::server::{Server, serve};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How the server is started; its clock moves when the client says so.
const CLOCK: &[&str] = &["--test-clock", "2000-01-01T00:00:00Z"];
/// How long a request is thought to take before one was measured, and how long a start.
const FIRST: Duration = Duration::from_micros(1_500);
const START: Duration = Duration::from_millis(30);

/// What happened.
#[derive(Default)]
pub struct Tally {
    /// How often a server was killed.
    pub kills: u64,
    /// Of these, while it started.
    pub while_starting: u64,
    /// Requests by kind: how many were answered, and how many were not and asked again.
    pub requests: BTreeMap<&'static str, (u64, u64)>,
    /// Answers that were asked for again after a kill.
    pub repeated: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.kills += other.kills;
        self.while_starting += other.while_starting;
        self.repeated += other.repeated;
        for (kind, (answered, not)) in &other.requests {
            let sum = self.requests.entry(kind).or_default();
            *sum = (sum.0 + answered, sum.1 + not);
        }
    }

    /// Requests that no answer came to.
    pub fn unanswered(&self) -> u64 {
        self.requests.values().map(|(_, not)| not).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kills, {} of them while it started; ", self.kills, self.while_starting)?;
        for (kind, (answered, not)) in &self.requests {
            write!(f, "{kind}: {answered} answered, {not} asked again; ")?;
        }
        write!(f, "{} answers given again", self.repeated)
    }
}

/// A request that can be made again as it was.
#[derive(Clone)]
pub struct Asked {
    /// What it is about, for the tally.
    pub kind: &'static str,
    pub path: String,
    pub media: &'static str,
    pub key: Option<String>,
    pub body: Vec<u8>,
}

/// An answer without the id of the request, which is each request's own.
fn without_id((status, body): &(u16, Vec<u8>)) -> (u16, Value) {
    let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request_id");
    }
    (*status, body)
}

pub struct Client<'f> {
    folder: &'f Path,
    dice: Dice,
    /// Once in so many requests the server is killed around it.
    every: u64,
    /// How often more at most.
    left: u64,
    server: Option<Server>,
    connection: Option<Connection>,
    killer: Option<JoinHandle<()>>,
    /// What a request of a kind takes.
    took: BTreeMap<&'static str, Duration>,
    /// The last command that was answered.
    last: Option<(Asked, (u16, Vec<u8>))>,
    pub tally: Tally,
}

impl<'f> Client<'f> {
    /// `every`: once in so many requests the server is killed around it, `most` times at most.
    pub fn new(folder: &'f Path, dice: Dice, every: u64, most: u64) -> Client<'f> {
        let server = Server::run(serve(&[], folder, CLOCK), folder);
        Client {
            folder,
            dice,
            every,
            left: most,
            server: Some(server),
            connection: None,
            killer: None,
            took: BTreeMap::new(),
            last: None,
            tally: Tally::default(),
        }
    }

    /// Asks until there is an answer.
    pub fn ask(&mut self, asked: &Asked) -> (u16, Vec<u8>) {
        let mut first = true;
        loop {
            self.connect();
            if self.killer.is_none() && self.left > 0 && self.dice.once_in(self.every) {
                self.arm(asked.kind);
            }
            let began = Instant::now();
            let answer = self.once(asked);
            let count = self.tally.requests.entry(asked.kind).or_default();
            if let Ok(answer) = answer {
                count.0 += 1;
                if first && self.killer.is_none() {
                    let took = self.took.entry(asked.kind).or_insert(FIRST);
                    *took = (*took * 7 + began.elapsed()) / 8;
                }
                if asked.key.is_some() {
                    self.last = Some((asked.clone(), answer.clone()));
                }
                return answer;
            }
            count.1 += 1;
            first = false;
            self.bury();
        }
    }

    fn once(&mut self, asked: &Asked) -> std::io::Result<(u16, Vec<u8>)> {
        let connection = self.connection.as_mut().unwrap();
        let mut headers = vec![("Content-Type", asked.media)];
        headers.extend(asked.key.as_deref().map(|key| ("Idempotency-Key", key)));
        let (status, body) = connection.post_with(&asked.path, &headers, &asked.body)?;
        Ok((status, body.to_vec()))
    }

    /// Kills the server a while after, about as long as such a request takes.
    fn arm(&mut self, kind: &str) {
        self.left -= 1;
        let took = self.took.get(kind).copied().unwrap_or(FIRST);
        let most = u64::try_from((took * 2).as_micros()).unwrap();
        let patience = Duration::from_micros(self.dice.below(most.max(200)));
        let kill = self.server.as_ref().unwrap().killer();
        self.killer = Some(std::thread::spawn(move || {
            std::thread::sleep(patience);
            kill();
        }));
    }

    /// After a connection that broke.
    fn bury(&mut self) {
        self.connection = None;
        let server = self.server.take().unwrap();
        let Some(killer) = self.killer.take() else {
            panic!("nobody has killed the server, and it does not answer: {}", server.logged());
        };
        killer.join().unwrap();
        server.kill();
        self.tally.kills += 1;
    }

    /// Starts the server where there is none, and connects.
    fn connect(&mut self) {
        if self.connection.is_some() {
            return;
        }
        if self.server.is_none() {
            // Now and then it is killed while it opens the store.
            if self.left > 0 && self.dice.once_in(4) {
                self.left -= 1;
                let mut command = serve(&[], self.folder, CLOCK);
                let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                let most = u64::try_from(START.as_micros()).unwrap();
                std::thread::sleep(Duration::from_micros(self.dice.below(most)));
                child.kill().unwrap();
                child.wait().unwrap();
                self.tally.kills += 1;
                self.tally.while_starting += 1;
            }
            self.server = Some(Server::run(serve(&[], self.folder, CLOCK), self.folder));
        }
        let server = self.server.as_ref().unwrap();
        // A server that is killed just now is met by the next request.
        let opened = Connection::open(server.host(), Some(&server.token));
        let Ok(connection) = opened else {
            self.bury();
            return self.connect();
        };
        self.connection = Some(connection);
        // What was answered before is answered so again.
        if let Some((asked, answer)) = self.last.take_if(|_| self.killer.is_none()) {
            let again = self.once(&asked).expect("nobody kills it");
            assert_eq!(without_id(&again), without_id(&answer), "{} is answered otherwise", asked.path);
            self.tally.repeated += 1;
        }
    }

    /// The server, alive and left alone; the tally is whole.
    pub fn server(&mut self) -> &Server {
        self.left = 0;
        if let Some(killer) = self.killer.take() {
            killer.join().unwrap();
            self.server.take().unwrap().kill();
            self.tally.kills += 1;
            self.connection = None;
        }
        self.connect();
        self.server.as_ref().unwrap()
    }

    /// Ends the server: by SIGTERM, or by SIGKILL.
    pub fn end(&mut self, kindly: bool) {
        self.connection = None;
        let server = self.server.take().unwrap();
        if kindly {
            server.stop();
        } else {
            server.kill();
        }
    }
}
