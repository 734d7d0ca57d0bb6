//! Bodies of requests: their media type, their compression, their size.

use crate::answer::Answer;
use crate::operation::Body as Form;
use crate::room::Place;
use axum::body::{Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use std::fmt::Display;
use std::future::poll_fn;
use std::io::Read;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// What is kept ready for a body before it comes.
const FIRST_BYTES: u64 = 1 << 20;
/// The most memory that a stream of Zstandard may ask for, as a power of two: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is compressed, by what is said of it; it is of the form.
pub(crate) fn said(form: &Form, headers: &HeaderMap) -> Result<Encoding, Answer> {
    check_media(form, headers)?;
    encoding(headers)
}

/// Reads a body of at most so many bytes, compressed and not, that comes within so long a time.
pub(crate) async fn read<B>(
    encoding: Encoding,
    (body, place): (B, &mut Place),
    bytes_max: usize,
    patience: Duration,
) -> Result<Bytes, Answer>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let whole = in_time(collect(body, place, bytes_max), patience).await?;
    if !matches!(encoding, Encoding::Plain) && !place.take(bytes_max) {
        return Err(no_room());
    }
    let plain = match encoding {
        Encoding::Plain => Ok(whole),
        Encoding::Gzip => inflate(flate2::read::MultiGzDecoder::new(&*whole), bytes_max),
        Encoding::Zstd => {
            let reader = zstd::stream::read::Decoder::with_buffer(&*whole).and_then(|mut reader| {
                reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(reader)
            });
            inflate(reader.map_err(unreadable)?, bytes_max)
        }
    }?;
    place.keep(plain.len());
    Ok(plain)
}

/// A body that has come within so long a time.
async fn in_time(
    coming: impl Future<Output = Result<Bytes, Answer>>,
    patience: Duration,
) -> Result<Bytes, Answer> {
    let mut coming = pin!(coming);
    // Most bodies are there with their heads: no clock has to be wound for them.
    if let Poll::Ready(whole) = poll_fn(|context| Poll::Ready(coming.as_mut().poll(context))).await {
        return whole;
    }
    tokio::time::timeout(patience, coming).await.unwrap_or_else(|_| {
        let detail = format!("the body took longer than {} s", patience.as_secs());
        Err(Answer::problem("too-slow", 408, &detail))
    })
}

/// Reads a body to its end, or until it is too large.
async fn collect<B>(mut body: B, place: &mut Place, bytes_max: usize) -> Result<Bytes, Answer>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let mut whole = Vec::with_capacity(body.size_hint().exact().unwrap_or(0).min(FIRST_BYTES) as usize);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame
            .map_err(|error| Answer::problem("bad-body", 400, &format!("the body ends early: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if !place.take(data.len()) {
            return Err(no_room());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

/// How a body is compressed.
#[derive(Clone, Copy)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Answer> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(Encoding::Plain) };
    match encoding.to_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "identity" => Ok(Encoding::Plain),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        _ => {
            let detail = "a body is compressed with gzip or zstd, or not at all";
            Err(Answer::problem("unsupported-media-type", 415, detail))
        }
    }
}

/// A body whose client says nothing of it, or no more than that it is bytes, is taken as what the route takes.
fn check_media(form: &Form, headers: &HeaderMap) -> Result<(), Answer> {
    let Some(said) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let said = said.to_str().unwrap_or_default();
    let media = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media == "application/octet-stream" || form.media().contains(&media.as_str()) {
        return Ok(());
    }
    let detail = format!("a body of the type {said:?}; this address takes {}", form.media().join(", "));
    Err(Answer::problem("unsupported-media-type", 415, &detail))
}

fn no_room() -> Answer {
    Answer::problem("busy", 503, "too much waits already; try again")
}

fn too_large(bytes_max: usize) -> Answer {
    let detail = format!("the body has more than {bytes_max} bytes, uncompressed");
    Answer::problem("too-large", 413, &detail)
}

fn unreadable(error: std::io::Error) -> Answer {
    Answer::problem("bad-body", 400, &format!("the body cannot be uncompressed: {error}"))
}

fn inflate(reader: impl Read, bytes_max: usize) -> Result<Bytes, Answer> {
    let mut whole = Vec::new();
    // One more tells that there is more.
    reader.take(bytes_max as u64 + 1).read_to_end(&mut whole).map_err(unreadable)?;
    if whole.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(whole.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Room;
    use axum::body::Body;
    use axum::http::HeaderValue;
    use std::io::Write;

    fn read_now(headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Result<Bytes, u16> {
        read_in(&Room::new(10_000), headers, body)
    }

    fn read_in(room: &Room, headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Result<Bytes, u16> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut place = room.place();
        let encoding = said(&Form::Usage, &headers).map_err(|answer| answer.status)?;
        let read = read(encoding, (Body::from(body), &mut place), 1_000, Duration::from_secs(60));
        runtime.block_on(read).map_err(|answer| answer.status)
    }

    #[test]
    fn a_compressed_body_is_read_up_to_its_size_without_compression() {
        let gzip = |bytes: &[u8]| {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            to.write_all(bytes).unwrap();
            to.finish().unwrap()
        };
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
        let (good, bomb) = (vec![b'a'; 1_000], vec![0; 1_000_000]);
        for (name, small, large) in [("gzip", gzip(&good), gzip(&bomb)), ("zstd", zstd(&good), zstd(&bomb))] {
            let header = [("content-encoding", name)];
            assert!(large.len() < 1_000_000);
            assert_eq!(read_now(&header, small).unwrap(), good, "{name}");
            assert_eq!(read_now(&header, large), Err(413), "{name}");
            assert_eq!(read_now(&header, b"no such thing".to_vec()), Err(400), "{name}");
        }
        assert_eq!(read_now(&[], good.clone()).unwrap(), good);
        assert_eq!(read_now(&[], vec![b'a'; 1_001]), Err(413));
        assert_eq!(read_now(&[("content-encoding", "br")], good), Err(415));
    }

    #[test]
    fn a_body_without_room_is_told_to_come_again() {
        let (room, body) = (Room::new(600), vec![b'a'; 400]);
        assert!(read_in(&room, &[], body.clone()).is_ok());
        let mut others = room.place();
        assert!(others.take(300));
        assert_eq!(read_in(&room, &[], body.clone()), Err(503));
        drop(others);
        assert!(read_in(&room, &[], body.clone()).is_ok(), "what was refused has no room");
        let packed = zstd::encode_all(&*body, 3).unwrap();
        assert_eq!(read_in(&room, &[("content-encoding", "zstd")], packed), Err(503), "it could be 1,000");
    }

    #[test]
    fn a_media_type_of_another_form_is_refused() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/octet-stream"] {
            assert!(read_now(&[("content-type", good)], b"{}".to_vec()).is_ok(), "{good}");
        }
        for wrong in ["application/x-www-form-urlencoded", "text/html", ""] {
            assert_eq!(read_now(&[("content-type", wrong)], b"{}".to_vec()), Err(415), "{wrong}");
        }
    }
}
