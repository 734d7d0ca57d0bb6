//! `farebox serve`: the server on the embedded store.

use crate::archive;
use crate::config::{Config, Flags, variables};
use crate::log;
use crate::output::Failure;
use farebox_server::engine::Engine;
use farebox_server::{Access, Bounds, Clock, Endpoint, Site, Traces, parse_all, watched};
use farebox_service::{Pace, Service};
use farebox_store::Store;
use farebox_store_sqlite::Sqlite;
use jiff::Timestamp;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Make another key of an operator, and print it: where the first one was lost. It is done once, and no setting.
    #[arg(long)]
    new_operator_key: bool,
}

/// The most connections of watchers at once.
const WATCHERS_MAX: usize = 64;

/// How a server is started.
pub struct Settings {
    /// The folder of the store.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to listen for watchers.
    pub metrics_listen: Option<SocketAddr>,
    /// What time it is.
    pub clock: Clock,
    /// When a test clock begins; of the system's, now.
    pub now: Timestamp,
    /// Whether a key of an operator is made though there is one.
    pub new_operator_key: bool,
    /// How many requests of a customer's key, and of one of finance or support, are done in a minute.
    pub requests_per_minute: u32,
    /// What clients may take.
    pub bounds: Bounds,
    /// How many billing groups stay in memory, besides those in use.
    pub groups: usize,
    /// How many months usage stays in the store's file; `None`: for ever.
    pub usage_months: Option<u32>,
    /// Where to send traces.
    pub otlp_endpoint: Option<Endpoint>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let config = Config::read(&args.flags, variables())?;
    let (clock, now) = match config.get("test_clock") {
        Some(at) => (Clock::Test, at),
        None => (Clock::System, Timestamp::now()),
    };
    let patience = Duration::from_secs(config.need("patience_seconds")?);
    let body_memory_mib: usize = config.need("body_memory_mib")?;
    let body_bytes = body_memory_mib << 20;
    let settings = Settings {
        data: config.need("data")?,
        listen: config.need("listen")?,
        metrics_listen: config.get("metrics_listen"),
        clock,
        now,
        new_operator_key: args.new_operator_key,
        requests_per_minute: config.need("requests_per_minute")?,
        bounds: Bounds { head: patience, body: patience, body_bytes, ..Bounds::default() },
        groups: config.need("groups_in_memory")?,
        usage_months: config.get("usage_months"),
        otlp_endpoint: config.get("otlp_endpoint"),
    };
    let _log = log::start(config.need("log_level")?, config.need("log_form")?)?;
    serve(&settings, show_key, |_, _| Ok(()))
}

/// Prints a key. Where nobody would see it, that fails: it is shown this once.
fn show_key(token: &str) -> io::Result<()> {
    if is_discarded()? {
        return Err(io::Error::other(
            "standard output is closed, or /dev/null; expected where it can be read",
        ));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "operator key (shown this once): {token}")?;
    out.flush()
}

/// Whether what is printed is lost. A process that is started with its standard output closed has `/dev/null` there.
#[cfg(unix)]
fn is_discarded() -> io::Result<bool> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let out = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?).metadata()?;
    let null = std::fs::metadata("/dev/null").map(|null| null.rdev()).ok();
    Ok(out.file_type().is_char_device() && Some(out.rdev()) == null)
}

#[cfg(not(unix))]
fn is_discarded() -> io::Result<bool> {
    Ok(false)
}

/// Prints a line that the log has, too: whoever does not read it misses nothing.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// The address of a setting, which is taken before anything is done, and listened at when all else is ready.
struct Taken {
    setting: &'static str,
    at: SocketAddr,
    socket: TcpSocket,
}

impl Taken {
    fn new(setting: &'static str, at: SocketAddr) -> Result<Taken, Failure> {
        let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let taken = socket.and_then(|socket| {
            // Where a server that was here before has just ended.
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(at)?;
            Ok(socket)
        });
        let socket = taken.map_err(|error| cannot_listen(setting, at, &error))?;
        Ok(Taken { setting, at, socket })
    }

    fn listen(self) -> Result<TcpListener, Failure> {
        self.socket.listen(BACKLOG).map_err(|error| cannot_listen(self.setting, self.at, &error))
    }
}

fn cannot_listen(setting: &str, at: SocketAddr, error: &io::Error) -> Failure {
    let expected = "expected an address of this machine with a port that nobody else has";
    Failure::Other(format!("{setting} = \"{at}\": {error}; {expected}"))
}

/// Says where a test clock does not stand where the store's did.
fn tell_test_clock(kept: Option<Timestamp>, asked: Timestamp) {
    match kept {
        Some(store) if asked < store => {
            tracing::warn!(%store, test_clock = %asked, "the test clock stands where the store's is, which is later: time never goes back");
        }
        Some(store) if asked > store => {
            tracing::warn!(%store, test_clock = %asked, "the test clock moves the store's: what is due until then is done and billed now, for good");
        }
        _ => {}
    }
}

/// Serves until the process is asked to stop. `show`: shows the key, if one is made, before it is kept. `listening`: what
/// to do once it listens, on a thread of its own; it is told the address, and the key.
pub fn serve(
    settings: &Settings,
    show: impl FnOnce(&str) -> io::Result<()>,
    listening: impl FnOnce(SocketAddr, Option<String>) -> Result<(), Failure> + Send + 'static,
) -> Result<ExitCode, Failure> {
    // The engine and what it keeps have about one core.
    let workers =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let within = runtime.enter();
    // Nothing is changed, and no key made, by a server that cannot listen.
    let address = Taken::new("listen", settings.listen)?;
    let metrics_address = settings.metrics_listen.map(|at| Taken::new("metrics_listen", at)).transpose()?;
    let store = Sqlite::open(&settings.data)?;
    let catalogues = parse_all(&store)?;
    let kept = store.clock()?;
    let mut service = Service::open(Box::new(store), catalogues, settings.now)?;
    service.set_pace(Pace { groups: settings.groups, ..Pace::default() });
    match settings.clock {
        Clock::System if settings.now < service.clock() => {
            let (store, system) = (service.clock(), settings.now);
            tracing::warn!(%store, %system, "the system's clock is behind the store's; time stands until it is there again");
        }
        Clock::System => {}
        Clock::Test => tell_test_clock(kept, settings.now),
    }
    let (listener, metrics_listener) = (address.listen()?, metrics_address.map(Taken::listen).transpose()?);
    drop(within);
    let (access, made) =
        Access::open(&mut service, settings.requests_per_minute, settings.new_operator_key, show)?;
    let (traces, sender) = match settings.otlp_endpoint.clone() {
        Some(endpoint) => {
            tracing::info!(%endpoint, "traces");
            let (traces, sender) = Traces::start(endpoint)?;
            (Some(traces), Some(sender))
        }
        None => (None, None),
    };
    let (engine, thread) = Engine::start_within(service, settings.clock, settings.bounds, traces)?;
    runtime.block_on(async {
        // Whoever is told that it listens may ask it to stop at once.
        let stopped = asked_to_stop()?;
        // Whoever starts it with port 0 learns the port here.
        let address = listener.local_addr()?;
        say(&format!("listening on http://{address}"));
        let clock = if settings.clock == Clock::Test { "test" } else { "system" };
        let data = settings.data.display();
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %data, listen = %address, clock, "started");
        if let Some(listener) = metrics_listener {
            let address = listener.local_addr()?;
            say(&format!("metrics on http://{address}"));
            tracing::info!(listen = %address, "metrics");
            let watched = watched(engine.clone());
            let bounds = Bounds { connections: WATCHERS_MAX, ..Bounds::default() };
            tokio::spawn(farebox_server::serve(listener, watched, bounds, std::future::pending()));
        }
        tokio::spawn(engine.clone().keep_time());
        if let Some(months) = settings.usage_months {
            tokio::spawn(archive::keep(engine.clone(), settings.data.clone(), months));
        }
        let told = tokio::task::spawn_blocking(move || listening(address, made));
        let failed = async move {
            match told.await {
                Ok(Ok(())) => std::future::pending().await,
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Other("what was to be done with the server has failed".to_owned()),
            }
        };
        let ended = engine.clone().ended();
        let stopping = async {
            tokio::select! {
                () = stopped => {}
                // Whoever watches it starts it anew.
                () = ended => {}
            }
            tracing::info!("stopping");
        };
        let server = farebox_server::serve(listener, Site::new(engine, access), settings.bounds, stopping);
        tokio::select! {
            () = server => Ok(()),
            failure = failed => Err(failure),
        }
    })?;
    // The engine was handed to the site, which is gone: its thread commits and ends.
    drop(runtime);
    if thread.join().is_err() {
        tracing::error!("the engine has failed; what was answered is kept");
        return Ok(ExitCode::FAILURE);
    }
    // What is left is sent, as far as somebody takes it.
    if let Some(sender) = sender {
        let _ = sender.join();
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Listens for the signals that ask the process to stop, from now on; what is answered resolves when one comes.
#[cfg(unix)]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
