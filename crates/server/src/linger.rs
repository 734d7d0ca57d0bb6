//! The end of a connection whose client may still be sending.
//!
//! A request may be answered before all of it has come: its key is not known, its body is too slow or too large. To
//! close a socket from which bytes were not read tells the other side that the connection broke, and what was answered
//! may never be seen. So what still comes is read, and forgotten, for a while.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How long a client may send nothing until it is taken for one that listens no more.
const SILENCE: Duration = Duration::from_secs(2);
/// The most that is forgotten of what a client sends: some times the largest body that a route takes.
const FORGOTTEN_BYTES_MAX: usize = 128 << 20;
/// What is forgotten at once.
const AT_ONCE_BYTES: usize = 8 << 10;

/// A stream that is there again when whoever had it lets it go.
pub(crate) struct Lent {
    /// There until it is let go.
    stream: Option<TcpStream>,
    /// Nothing more will come from the client.
    has_ended: bool,
    /// All was said to the client.
    is_shut: bool,
    back: Arc<Mutex<Option<TcpStream>>>,
}

/// Where a stream comes back to.
pub(crate) struct Lender(Arc<Mutex<Option<TcpStream>>>);

impl Lent {
    pub fn new(stream: TcpStream) -> (Lent, Lender) {
        let back = Arc::new(Mutex::new(None));
        let lender = Lender(back.clone());
        (Lent { stream: Some(stream), has_ended: false, is_shut: false, back }, lender)
    }

    fn pinned(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("it is there until it is let go"))
    }
}

impl Lender {
    /// Forgets what a client still sends after it was answered, for so long at most.
    pub async fn linger(self, most: Duration) {
        let back = self.0.lock().expect("nobody panics with it").take();
        let Some(stream) = back else { return };
        let forget = async {
            // Few connections need it: it is no part of what each of them has in memory.
            let mut some = vec![0; AT_ONCE_BYTES];
            let mut forgotten = 0;
            while forgotten < FORGOTTEN_BYTES_MAX
                && let Ok(Ok(())) = tokio::time::timeout(SILENCE, stream.readable()).await
            {
                match stream.try_read(&mut some) {
                    Ok(length @ 1..) => forgotten += length,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Ok(0) | Err(_) => break,
                }
            }
        };
        let _ = tokio::time::timeout(most, forget).await;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.is_shut && !self.has_ended {
            *self.back.lock().expect("nobody panics with it") = self.stream.take();
        }
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let (before, has_room) = (to.filled().len(), to.remaining() > 0);
        let read = ready!(self.pinned().poll_read(context, to));
        self.has_ended |= read.is_err() || (has_room && to.filled().len() == before);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.pinned().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.pinned().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.pinned().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.is_shut = true;
        self.pinned().poll_shutdown(context)
    }
}
