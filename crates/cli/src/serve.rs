//! `farebox serve`: the server on the embedded store.

use crate::archive;
use crate::config::{Config, Flags, variables};
use crate::log;
use crate::output::Failure;
use farebox_server::engine::Engine;
use farebox_server::{Access, Bounds, Clock, Endpoint, Site, Traces, parse_all, watched};
use farebox_service::{Pace, Service};
use farebox_store_sqlite::Sqlite;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

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
    log::start(config.need("log_level")?, config.need("log_form")?);
    serve(&settings, |_, key| {
        if let Some(token) = key {
            println!("operator key (shown this once): {token}");
        }
        Ok(())
    })
}

/// Serves until the process is asked to stop. `listening`: what to do once it listens, on a thread of its own; it is
/// told the address, and the key if one was made.
pub fn serve(
    settings: &Settings,
    listening: impl FnOnce(SocketAddr, Option<String>) -> Result<(), Failure> + Send + 'static,
) -> Result<ExitCode, Failure> {
    let store = Sqlite::open(&settings.data).map_err(|error| Failure::Other(error.to_string()))?;
    let catalogues = parse_all(&store).map_err(|error| Failure::Other(error.to_string()))?;
    let service = Service::open(Box::new(store), catalogues, settings.now);
    let mut service = service.map_err(|error| Failure::Other(error.to_string()))?;
    service.set_pace(Pace { groups: settings.groups, ..Pace::default() });
    if settings.clock == Clock::System && settings.now < service.clock() {
        let (store, system) = (service.clock(), settings.now);
        tracing::warn!(%store, %system, "the system's clock is behind the store's; time stands until it is there again");
    }
    let access = Access::open(&mut service, settings.requests_per_minute, settings.new_operator_key);
    let (access, made) = access.map_err(|error| Failure::Other(error.to_string()))?;
    let (traces, sender) = match settings.otlp_endpoint.clone() {
        Some(endpoint) => {
            tracing::info!(%endpoint, "traces");
            let (traces, sender) = Traces::start(endpoint)?;
            (Some(traces), Some(sender))
        }
        None => (None, None),
    };
    let (engine, thread) = Engine::start_within(service, settings.clock, settings.bounds, traces)?;
    // The engine and what it keeps have about one core.
    let workers =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(settings.listen).await?;
        // Whoever is told that it listens may ask it to stop at once.
        let stopped = asked_to_stop()?;
        // Whoever starts it with port 0 learns the port here.
        let address = listener.local_addr()?;
        println!("listening on http://{address}");
        let clock = if settings.clock == Clock::Test { "test" } else { "system" };
        let data = settings.data.display();
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %data, listen = %address, clock, "started");
        if let Some(at) = settings.metrics_listen {
            let listener = tokio::net::TcpListener::bind(at).await?;
            let address = listener.local_addr()?;
            println!("metrics on http://{address}");
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
