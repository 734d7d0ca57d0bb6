//! `farebox demo`: a server on a test clock, with a month of five enterprises.

use crate::output::{self, Failure};
use crate::push;
use crate::serve::{self, Settings};
use farebox_scenario::prepare;
use farebox_server::{Bounds, Clock};
use jiff::Timestamp;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The folder of the store, which stays; without it, one that is removed in the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// When the test clock begins, and where it stands in the end.
const BEGIN: &str = "2024-01-01T00:00:00+08:00";
const END: &str = "2024-02-01T00:00:00+08:00";

/// What the demo is made of, by its path in the repository.
const FILES: &[(&str, &[u8])] = &[
    ("examples/demo/january.book", include_bytes!("../../../examples/demo/january.book")),
    (
        "examples/contact-centre/asterisk-Master-masked.csv",
        include_bytes!("../../../examples/contact-centre/asterisk-Master-masked.csv"),
    ),
    ("catalogs/huawei-ykf.toml", include_bytes!("../../../catalogs/huawei-ykf.toml")),
    ("catalogs/huawei-cec.toml", include_bytes!("../../../catalogs/huawei-cec.toml")),
    ("catalogs/huawei-koophone.toml", include_bytes!("../../../catalogs/huawei-koophone.toml")),
    ("catalogs/huawei-ocr.toml", include_bytes!("../../../catalogs/huawei-ocr.toml")),
    ("catalogs/tencent-ccc.toml", include_bytes!("../../../catalogs/tencent-ccc.toml")),
];

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let own = Folder::new()?;
    for (path, text) in FILES {
        let file = own.0.join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, text)?;
    }
    let book = own.0.join(FILES[0].0);
    let data = args.data.clone().unwrap_or_else(|| own.0.join("data"));
    let settings = Settings {
        data,
        listen: args.listen,
        metrics_listen: None,
        clock: Clock::Test,
        now: moment(BEGIN)?,
        // The demo's own key is made anew where its store is there already.
        new_operator_key: true,
        requests_per_minute: 1_200,
        bounds: Bounds::default(),
        groups: farebox_service::Pace::default().groups,
        usage_months: None,
        otlp_endpoint: None,
    };
    // It is told with what can be tried.
    serve::serve(
        &settings,
        |_| Ok(()),
        move |address, key| {
            let key = key.ok_or_else(|| Failure::Other("no key was made".to_owned()))?;
            fill(&book, &address.to_string(), &key)
        },
    )
}

/// Sends the book, and says what to try.
fn fill(book: &Path, address: &str, key: &str) -> Result<(), Failure> {
    let prepared = prepare::load(book)?;
    let url = format!("http://{address}");
    let to = push::To { url: &url, key, until: Some(moment(END)?), check: false };
    let pushed = push::push(book, &prepared, &to)?;
    let mut lines = pushed.lines();
    lines.push(format!("the test clock stands at {END}"));
    lines.push(String::new());
    lines.push(format!("open   {url}/docs"));
    lines.push(String::new());
    lines.push(format!("export KEY={key}"));
    let ask = |what: &str, path: &str| {
        vec![format!("# {what}"), format!("curl -H \"Authorization: Bearer $KEY\" {url}{path}")]
    };
    for (what, path) in [
        ("the five enterprises", "/v1/accounts"),
        ("acme's bill, line by line, and why its seats cost that", "/v1/bills/acme-2024-01"),
        ("dorado owes, and has a week of grace; elbrus is frozen", "/v1/accounts/dorado/lifecycle"),
        ("what is left of cirrus's minutes", "/v1/accounts/cirrus/packages"),
    ] {
        lines.extend(ask(what, path));
    }
    lines.push("# elbrus pays, and runs again".to_owned());
    lines.push(format!(
        "curl -H \"Authorization: Bearer $KEY\" --json '{{\"command\": \"topup\", \"amount\": \"2000\"}}' \
         {url}/v1/accounts/elbrus/commands"
    ));
    lines.push("# a month later".to_owned());
    lines.push(format!(
        "curl -H \"Authorization: Bearer $KEY\" --json '{{\"until\": \"2024-03-01T00:00:00+08:00\"}}' \
         {url}/v1/clock/advance"
    ));
    lines.push(String::new());
    lines.push("Ctrl-C ends it".to_owned());
    output::text(&lines)
}

fn moment(text: &str) -> Result<Timestamp, Failure> {
    text.parse().map_err(|_| Failure::Other(format!("{text} is no moment")))
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("farebox-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
