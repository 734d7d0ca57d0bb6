//! Connections: how many, and how long one may take to say what it wants.

use crate::linger::Lent;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// How connections are bounded.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many there are at once; more wait to be accepted.
    pub connections: usize,
    /// How long a client may take for the head of a request, and be silent before it.
    pub head: Duration,
    /// How long a body may take.
    pub body: Duration,
    /// The most bytes of bodies that all requests have in memory at once.
    pub body_bytes: usize,
    /// How long what has begun may take when the server is asked to stop.
    pub stop: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 8_192,
            head: Duration::from_secs(60),
            body: Duration::from_secs(60),
            body_bytes: 512 << 20,
            stop: Duration::from_secs(30),
        }
    }
}

/// The most bytes of a head, and of what has come of a body and was not taken yet. All connections together have some
/// memory for it, whatever their clients send.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// A service that notes whether it was asked for anything.
struct Noting<S> {
    service: S,
    is_asked: Arc<AtomicBool>,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        self.is_asked.store(true, Ordering::Relaxed);
        self.service.call(request)
    }
}

/// Resolves when the server stops.
async fn is_stopping(mut stopping: watch::Receiver<bool>) {
    if stopping.wait_for(|stops| *stops).await.is_err() {
        std::future::pending().await
    }
}

/// Serves until `stop` resolves; what has begun is finished.
pub async fn serve<S>(listener: TcpListener, service: S, bounds: Bounds, stop: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let graceful = GracefulShutdown::new();
    let free = Arc::new(Semaphore::new(bounds.connections));
    let mut stop = pin!(stop);
    let (stops, stopping) = watch::channel(false);
    loop {
        let next = async {
            let place = free.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            // The process has no more files, or the client is gone already: others may come.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // An answer is not kept back to go with the next one.
        let _ = stream.set_nodelay(true);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(BUFFER_BYTES_MAX);
        // Who has said all that he wants to say may still wait for an answer. What is asked for is done in any case, so
        // that nobody has to listen meanwhile whether the client goes.
        http.half_close(true);
        let (stream, lender) = Lent::new(stream);
        let is_asked = Arc::new(AtomicBool::new(false));
        let noting = Noting { service: service.clone(), is_asked: is_asked.clone() };
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), noting));
        let stopping = stopping.clone();
        tokio::spawn(async move {
            {
                let (mut connection, mut stops) = (pin!(connection), pin!(is_stopping(stopping)));
                // What goes wrong with a connection is its client's matter.
                poll_fn(|context| match connection.as_mut().poll(context) {
                    Poll::Ready(_) => Poll::Ready(()),
                    // Where nothing was ever asked, the head that its client may have begun is not waited for.
                    Poll::Pending if is_asked.load(Ordering::Relaxed) => Poll::Pending,
                    Poll::Pending => stops.as_mut().poll(context),
                })
                .await;
            }
            // It has let its stream go.
            lender.linger(bounds.body).await;
            drop(place);
        });
    }
    drop(listener);
    stops.send_replace(true);
    let _ = tokio::time::timeout(bounds.stop, graceful.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use hyper_util::service::TowerToHyperService;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    /// A server with these bounds; it stops when the sender goes.
    fn start(bounds: Bounds) -> (SocketAddr, tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>) {
        let (address, told) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                address.send(listener.local_addr().unwrap()).unwrap();
                let slow = || async {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    "slow"
                };
                let router = Router::new().route("/", get(|| async { "here" })).route("/slow", get(slow));
                let stop = async { drop(stopped.await) };
                serve(listener, TowerToHyperService::new(router), bounds, stop).await;
            });
        });
        (told.recv().unwrap(), stop, thread)
    }

    fn ask(stream: &mut TcpStream, path: &str) -> String {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn who_says_nothing_is_let_go() {
        let bounds = Bounds { connections: 2, head: Duration::from_millis(200), ..Bounds::default() };
        let (address, _stop, _) = start(bounds);
        // Both places are taken by clients that never finish a head.
        let mut slow: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
        slow.iter_mut().for_each(|stream| stream.write_all(b"GET / HTTP/1.1\r\nHost").unwrap());
        let mut third = TcpStream::connect(address).unwrap();
        assert!(ask(&mut third, "/").ends_with("here"), "it waited for a place, and got one");
        for mut stream in slow {
            let mut said = String::new();
            let _ = stream.read_to_string(&mut said);
            assert!(!said.contains("200 OK"), "{said}");
        }
    }

    #[test]
    fn who_is_answered_early_hears_it_after_all_is_sent() {
        let (address, _stop, _) = start(Bounds::default());
        // More than the buffers of both sides hold, and not a byte of it is read for the answer.
        let body = vec![b'a'; 32 << 20];
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(&body).expect("the connection stands while the client sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("here"), "{answer}");
    }

    #[test]
    fn a_head_that_does_not_end_holds_no_stop_back() {
        let (address, stop, thread) = start(Bounds::default());
        let mut silent = TcpStream::connect(address).unwrap();
        silent.write_all(b"GET /he").unwrap();
        assert!(ask(&mut TcpStream::connect(address).unwrap(), "/").ends_with("here"));
        let begun = std::time::Instant::now();
        drop(stop);
        thread.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_has_begun_is_finished_when_it_stops() {
        let (address, stop, thread) = start(Bounds::default());
        let asked = std::thread::spawn(move || ask(&mut TcpStream::connect(address).unwrap(), "/slow"));
        std::thread::sleep(Duration::from_millis(100));
        drop(stop);
        assert!(asked.join().unwrap().ends_with("slow"));
        thread.join().unwrap();
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}
