//! Bills of many accounts as one file, sent while it is being made: FOCUS cost and usage.
//!
//! The engine is asked for some accounts at a time, and has time for others in between; the file is written elsewhere.

use crate::answer::{Answer, problem};
use crate::asked::Asked;
use crate::engine::Engine;
use crate::operation::{Form, Operation, Parameter, ParameterForm};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use farebox_api as wire;
use farebox_api::{Role, focus};
use farebox_service::Service;
use farebox_table::{Cell, Format, Writer};
use hyper::body::Frame;
use jiff::civil::Date;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Who may have bills as a file: a customer those of its own tree.
const EXPORTERS: &[Role] = &[Role::Operator, Role::Finance, Role::Customer];
/// Accounts that the engine is asked for at once, at most.
const ACCOUNTS_EACH: usize = 100;
/// Rows after which it is asked for no more accounts at once.
const ROWS_EACH: usize = 2_000;
/// Parts of a file that wait for a slow client.
const PARTS_WAITING: usize = 2;
/// How often, and how long apart, a busy engine is asked again in the middle of a file.
const ASKED_AGAIN_MAX: u32 = 50;
const ASKED_AGAIN_EACH: Duration = Duration::from_millis(200);

pub(crate) fn operations() -> Vec<Operation> {
    let issuer = Parameter {
        name: "issuer",
        says: "Who issues the bills, in 1 to 200 characters: InvoiceIssuerName, ProviderName, PublisherName.",
        required: true,
        value: ParameterForm::Pattern {
            pattern: "^[^\\x00-\\x20\\x7f]([^\\x00-\\x1f\\x7f]{0,198}[^\\x00-\\x20\\x7f])?$",
            expected: "1 to 200 characters, without control characters and without a blank at either end",
            check: |text| {
                (1..=200).contains(&text.chars().count())
                    && !text.contains(|letter: char| letter.is_ascii_control())
                    && text.trim_matches(' ') == text
            },
        },
    };
    let says =
        "The lines of bills and credit notes as FOCUS 1.2 has cost and usage; a customer's: its own bills.";
    vec![
        Operation::get("/v1/exports/focus", "export-focus", says)
            .by(EXPORTERS)
            .takes(Parameter::one_of("format", &["csv", "parquet"], "CSV when left out."))
            .takes(Parameter::text::<wire::Month>("month", "The month of the bills; all time when left out."))
            .takes(issuer)
            .answers(200, Form::Text(Format::Csv.media_type()))
            .handled(|engine, asked| Box::pin(export(engine, asked))),
    ]
}

/// What is exported.
struct Wish {
    asked: Arc<Asked>,
    issuer: String,
    month: Option<Date>,
}

/// Rows of some accounts.
struct Page {
    rows: Vec<Vec<Cell>>,
    /// The account after which the next page begins; `None`: there is none.
    next: Option<String>,
}

/// The rows of the accounts after one.
fn page(service: &Service, wish: &Wish, after: &str) -> Result<Page, Answer> {
    let mut rows = Vec::new();
    let add = |rows: &mut Vec<Vec<Cell>>, account: &str| -> Result<(), Answer> {
        let catalogues = service.catalogues();
        let world = focus::World { catalogues, issuer: &wish.issuer, month: wish.month };
        let made = service.look(account, |group| {
            let Some(account) = group.get(account) else { return Ok(()) };
            focus::rows(&world, group, account, &mut |row| rows.push(row))
        })?;
        let too_large = |_| Answer::problem("out-of-range", 422, "a quantity does not fit a column");
        made.unwrap_or(Ok(())).map_err(too_large)
    };
    if let Some(own) = wish.asked.own_tree() {
        // A master's bills have its members' lines, and a member has no bills.
        add(&mut rows, own)?;
        return Ok(Page { rows, next: None });
    }
    let accounts = service.accounts(after, ACCOUNTS_EACH)?;
    let has_more = accounts.len() == ACCOUNTS_EACH;
    let mut rest = accounts.into_iter().peekable();
    while let Some(row) = rest.next() {
        if row.payer == row.account {
            add(&mut rows, &row.account)?;
        }
        let is_enough = rows.len() >= ROWS_EACH && (has_more || rest.peek().is_some());
        if is_enough || (has_more && rest.peek().is_none()) {
            return Ok(Page { rows, next: Some(row.account) });
        }
    }
    Ok(Page { rows, next: None })
}

/// What a writer has written, until it is sent.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn take(&self) -> Bytes {
        Bytes::from(std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body whose parts come one by one. One that is an error ends it before its end, so that nobody takes it for whole.
struct Parts(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data)))
    }
}

async fn export(engine: Engine, asked: Arc<Asked>) -> Response {
    let format = if asked.query("format") == Some("parquet") { Format::Parquet } else { Format::Csv };
    let month = asked.parameter::<wire::Month>("month").map(|month| month.0);
    let name = month.map_or_else(String::new, |month| month.strftime("-%Y-%m").to_string());
    let issuer = asked.query("issuer").unwrap_or_default().to_owned();
    let wish = Arc::new(Wish { asked, issuer, month });
    // What is wrong at once is told at once.
    let first = match ask(&engine, &wish, String::new()).await {
        Ok(first) => first,
        Err(response) => return response,
    };
    let sink = Sink::default();
    let writer = match Writer::new(format, focus::COLUMNS, sink.clone()) {
        Ok(writer) => writer,
        Err(error) => return problem("not-written", 500, &error.to_string()),
    };
    let (parts, waiting) = mpsc::channel(PARTS_WAITING);
    tokio::spawn(send(engine, wish, first, (writer, sink), parts));
    let mut response = Response::new(Body::new(Parts(waiting)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    let disposition = format!("attachment; filename=\"focus{name}.{}\"", format.name());
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

async fn ask(engine: &Engine, wish: &Arc<Wish>, after: String) -> Result<Page, Response> {
    let own = wish.clone();
    match engine.question(move |service| page(service, &own, &after)).await {
        Ok(page) => page.map_err(Answer::into_response),
        Err(unavailable) => Err(unavailable.into_response()),
    }
}

/// Asks for a page in the middle of a file, for some time though the engine is busy.
async fn ask_on(engine: &Engine, wish: &Arc<Wish>, after: &str) -> Result<Page, Response> {
    for _ in 0..ASKED_AGAIN_MAX {
        match ask(engine, wish, after.to_owned()).await {
            Err(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                tokio::time::sleep(ASKED_AGAIN_EACH).await;
            }
            other => return other,
        }
    }
    ask(engine, wish, after.to_owned()).await
}

/// Sends the file page by page, until it is whole, or nobody wants it any more.
async fn send(
    engine: Engine,
    wish: Arc<Wish>,
    first: Page,
    (mut writer, sink): (Writer<Sink>, Sink),
    parts: mpsc::Sender<io::Result<Bytes>>,
) {
    let mut page = first;
    loop {
        let rows = page.rows;
        let written = tokio::task::spawn_blocking(move || {
            rows.into_iter().try_for_each(|row| writer.row(row)).map(|()| writer)
        });
        writer = match written.await {
            Ok(Ok(writer)) => writer,
            Ok(Err(error)) => return fail(&parts, error).await,
            Err(error) => return fail(&parts, io::Error::other(error)).await,
        };
        let Some(after) = page.next else { break };
        let part = sink.take();
        if !part.is_empty() && parts.send(Ok(part)).await.is_err() {
            return;
        }
        page = match ask_on(&engine, &wish, &after).await {
            Ok(page) => page,
            Err(response) => {
                let status = response.status();
                return fail(&parts, io::Error::other(format!("the next accounts: {status}"))).await;
            }
        };
    }
    match tokio::task::spawn_blocking(move || writer.finish()).await {
        Ok(Ok(_)) => drop(parts.send(Ok(sink.take())).await),
        Ok(Err(error)) => fail(&parts, error).await,
        Err(error) => fail(&parts, io::Error::other(error)).await,
    }
}

async fn fail(parts: &mpsc::Sender<io::Result<Bytes>>, error: io::Error) {
    tracing::warn!(error = %error, "an export has ended before its end");
    drop(parts.send(Err(error)).await);
}
