//! How a server is configured: by flags, by `FAREBOX_…` in the environment, by a file; whichever of these says a
//! setting first, in this order, else its default. `farebox config` shows the result.

mod file;

use crate::output::{self, Failure};
use clap::CommandFactory;
use farebox_server::Endpoint;
use farebox_text::diagnostic::{Diagnostic, nearest};
use jiff::Timestamp;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The flags of a server. They are read as text, so that a mistake is told in the same way wherever it was made.
#[derive(clap::Args, Default)]
pub struct Flags {
    /// A TOML file with settings; `farebox config` shows their names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the store; made where it is not there.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where to listen. What is sent there is not encrypted: beyond this machine, put a proxy with TLS before it.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where to answer `/metrics`, `/healthz` and `/readyz` without a key, besides: only watchers should reach it.
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<String>,
    /// A clock that stands at this moment until it is told to advance (POST /v1/clock/advance).
    #[arg(long, value_name = "MOMENT")]
    test_clock: Option<String>,
    /// How many requests of a customer's key, and of one of finance or support, are done in a minute.
    #[arg(long, value_name = "NUMBER")]
    requests_per_minute: Option<String>,
    /// How much memory the bodies of all requests together may have, in MiB; who finds none is told to come again.
    #[arg(long, value_name = "NUMBER")]
    body_memory_mib: Option<String>,
    /// How many billing groups stay in memory, besides those in use; others are loaded again when they are asked for.
    #[arg(long, value_name = "NUMBER")]
    groups_in_memory: Option<String>,
    /// How many seconds a client may take for the head of a request, and again for its body.
    #[arg(long, value_name = "NUMBER")]
    patience_seconds: Option<String>,
    /// Usage that was received and is timed more than so many months ago moves to Parquet files in `DIR/archive`, and what
    /// comes for these months after that is in quarantine; all of it stays in the store's file when left out.
    #[arg(long, value_name = "NUMBER")]
    usage_months: Option<String>,
    /// Where to send traces, as OTLP over HTTP: an OpenTelemetry collector near by.
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// What is written to standard error: `error`, `warn`, `info`, `debug` or `trace` and what is graver.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How it is written: `text`, or `json`, an object a line.
    #[arg(long, value_name = "FORM")]
    log_form: Option<String>,
}

impl Flags {
    fn get(&self, name: &str) -> Option<&String> {
        match name {
            "data" => self.data.as_ref(),
            "listen" => self.listen.as_ref(),
            "metrics_listen" => self.metrics_listen.as_ref(),
            "test_clock" => self.test_clock.as_ref(),
            "requests_per_minute" => self.requests_per_minute.as_ref(),
            "body_memory_mib" => self.body_memory_mib.as_ref(),
            "groups_in_memory" => self.groups_in_memory.as_ref(),
            "patience_seconds" => self.patience_seconds.as_ref(),
            "usage_months" => self.usage_months.as_ref(),
            "otlp_endpoint" => self.otlp_endpoint.as_ref(),
            "log_level" => self.log_level.as_ref(),
            "log_form" => self.log_form.as_ref(),
            _ => None,
        }
    }
}

/// One setting.
pub(super) struct Setting {
    /// As files name it: `metrics_listen`; the flag is `--metrics-listen`, the variable `FAREBOX_METRICS_LISTEN`.
    name: &'static str,
    default: Option<&'static str>,
    /// What is expected, with an example.
    expected: &'static str,
    is_good: fn(&str) -> bool,
    /// Whether a file says it as a number.
    is_number: bool,
}

const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
const FORMS: &[&str] = &["text", "json"];
const PREFIX: &str = "FAREBOX_";
/// The variable that names the file.
const FILE: &str = "CONFIG";

/// Every setting.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "data",
        default: None,
        expected: "a folder, such as \"/var/lib/farebox\"",
        is_good: |text| !text.is_empty(),
        is_number: false,
    },
    Setting {
        name: "listen",
        default: Some("127.0.0.1:8080"),
        expected: ADDRESS,
        is_good: is::<SocketAddr>,
        is_number: false,
    },
    Setting {
        name: "metrics_listen",
        default: None,
        expected: ADDRESS,
        is_good: is::<SocketAddr>,
        is_number: false,
    },
    Setting {
        name: "test_clock",
        default: None,
        expected: "a moment, such as \"2026-01-01T00:00:00+08:00\"",
        is_good: is::<Timestamp>,
        is_number: false,
    },
    Setting {
        name: "requests_per_minute",
        default: Some("1200"),
        expected: "a whole number from 1 to 4294967295",
        is_good: is::<std::num::NonZeroU32>,
        is_number: true,
    },
    Setting {
        name: "body_memory_mib",
        default: Some("512"),
        expected: "a whole number from 32 to 65536",
        is_good: |text| text.parse().is_ok_and(|number: u32| (32..=65_536).contains(&number)),
        is_number: true,
    },
    Setting {
        name: "groups_in_memory",
        default: Some("100000"),
        expected: "a whole number from 0 to 4294967295",
        is_good: is::<u32>,
        is_number: true,
    },
    Setting {
        name: "patience_seconds",
        default: Some("60"),
        expected: "a whole number from 1 to 3600",
        is_good: |text| text.parse().is_ok_and(|number: u32| (1..=3_600).contains(&number)),
        is_number: true,
    },
    Setting {
        name: "usage_months",
        default: None,
        expected: "a whole number from 1 to 1200",
        is_good: |text| text.parse().is_ok_and(|months: u32| (1..=1_200).contains(&months)),
        is_number: true,
    },
    Setting {
        name: "otlp_endpoint",
        default: None,
        expected: "a base address with its port, such as \"http://localhost:4318\"",
        is_good: is::<Endpoint>,
        is_number: false,
    },
    Setting {
        name: "log_level",
        default: Some("info"),
        expected: "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        is_good: |text| LEVELS.contains(&text),
        is_number: false,
    },
    Setting {
        name: "log_form",
        default: Some("text"),
        expected: "\"text\" or \"json\"",
        is_good: |text| FORMS.contains(&text),
        is_number: false,
    },
];

const ADDRESS: &str = "an IP address with a port, such as \"127.0.0.1:8080\"";

fn is<T: std::str::FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

impl Setting {
    fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "source", content = "place")]
enum Source {
    Flag(String),
    Environment(String),
    /// The file and line.
    File(String),
    Default,
}

/// A setting as it is.
struct Set {
    setting: &'static Setting,
    value: Option<String>,
    source: Source,
}

/// What a server is told.
pub struct Config {
    all: Vec<Set>,
}

impl Config {
    /// What flags, the environment and the file that one of them names come to.
    ///
    /// # Errors
    /// Every mistake: what cannot be read, unknown names in the file, variables that are nearly known.
    pub fn read(
        flags: &Flags,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, Failure> {
        // What is empty is not set, as it is usual with variables.
        let variables: Vec<(String, String)> = environment
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| known.eq(&name.to_uppercase())).map(|(_, value)| value)
        };
        let mut mistakes = strangers(&variables);
        let path = flags.config.clone().or_else(|| variable(FILE).map(PathBuf::from));
        let said = match path {
            None => Vec::new(),
            Some(path) => {
                let name = path.display().to_string();
                let bytes = std::fs::read(&path)
                    .map_err(|error| Failure::Other(format!("{name} cannot be read: {error}")))?;
                file::read(&name, &bytes, &mut mistakes)
            }
        };
        let mut all = Vec::new();
        for setting in SETTINGS {
            let in_file = said.iter().find(|one| one.name == setting.name);
            let of_flag = flags.get(setting.name).map(|value| (value, Source::Flag(setting.flag())));
            let of_variable =
                variable(setting.name).map(|value| (value, Source::Environment(setting.variable())));
            // A mistake is one also where something else counts before it.
            for (value, source) in of_flag.iter().chain(&of_variable) {
                if let (Source::Flag(place) | Source::Environment(place), false) =
                    (source, (setting.is_good)(value))
                {
                    mistakes.push(mistake(place, format!("{value:?}"), setting.expected));
                }
            }
            let of_file = in_file.map(|one| (&one.value, Source::File(one.place.clone())));
            let (value, source) = match of_flag.or(of_variable).or(of_file) {
                Some((value, source)) => (Some(value.clone()), source),
                None => (setting.default.map(str::to_owned), Source::Default),
            };
            all.push(Set { setting, value, source });
        }
        let config = Config { all };
        mistakes.extend(config.same_address());
        if mistakes.is_empty() { Ok(config) } else { Err(Failure::Mistakes(mistakes)) }
    }

    /// That watchers are to be answered where all others are. Port 0 is another one each time.
    fn same_address(&self) -> Option<Diagnostic> {
        let at: SocketAddr = self.get("metrics_listen")?;
        if at.port() == 0 || Some(at) != self.get("listen") {
            return None;
        }
        let set = self.all.iter().find(|set| set.setting.name == "metrics_listen")?;
        let (Source::Flag(place) | Source::Environment(place) | Source::File(place)) = &set.source else {
            return None;
        };
        Some(mistake(place, format!("\"{at}\""), "another address than that of listen"))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|set| set.setting.name == name)?.value.as_deref()
    }

    /// A setting that was checked when it was read.
    pub fn get<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// A setting that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn need<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.get(name).ok_or_else(|| {
            let known = SETTINGS.iter().find(|setting| setting.name == name);
            let (flag, variable) =
                known.map_or_else(Default::default, |setting| (setting.flag(), setting.variable()));
            Failure::Other(format!(
                "{name} is not set; say {flag}, {variable}, or {name} in the file of --config"
            ))
        })
    }
}

fn mistake(place: &str, found: String, expected: impl Into<String>) -> Diagnostic {
    let (file, expected) = (place.to_owned(), expected.into());
    Diagnostic { file, line: 0, column: 0, found, expected, suggestion: None }
}

/// Variables that are nearly the name of a setting. Others that begin alike may be another program's.
fn strangers(variables: &[(String, String)]) -> Vec<Diagnostic> {
    let known: Vec<String> =
        SETTINGS.iter().map(|setting| setting.name.to_uppercase()).chain([FILE.to_owned()]).collect();
    let strange = variables.iter().filter(|(name, _)| !known.contains(name));
    strange
        .filter_map(|(name, _)| {
            let meant = nearest(name, known.iter().map(String::as_str))?;
            let found = "no setting has this name".to_owned();
            let suggestion = Some(format!("{PREFIX}{meant}"));
            Some(Diagnostic {
                suggestion,
                ..mistake(&format!("{PREFIX}{name}"), found, "the name of a setting")
            })
        })
        .collect()
}

/// A setting as `--json` prints it (docs/json.md).
#[derive(Serialize)]
struct Shown<'c> {
    name: &'static str,
    value: Option<&'c str>,
    source: &'static str,
    place: Option<&'c str>,
    flag: String,
    variable: String,
    default: Option<&'static str>,
    expected: &'static str,
    meaning: String,
}

#[derive(clap::Parser)]
struct Alone {
    #[command(flatten)]
    flags: Flags,
}

/// What `--help` says of a setting.
fn meaning(name: &str) -> String {
    let command = Alone::command();
    let argument = command.get_arguments().find(|argument| argument.get_id() == name);
    let help = argument.and_then(|argument| argument.get_help());
    help.map(ToString::to_string).unwrap_or_default()
}

/// `farebox config`: what a server that is started like this would be told.
pub fn run(flags: &Flags, json: bool) -> Result<ExitCode, Failure> {
    let config = Config::read(flags, variables())?;
    if json {
        let shown: Vec<Shown<'_>> = config.all.iter().map(shown).collect();
        output::json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    // It can be kept as a file.
    let line = |set: &Set| match &set.value {
        Some(value) if set.setting.is_number => format!("{} = {value}", set.setting.name),
        Some(value) => format!("{} = {}", set.setting.name, file::quoted(value)),
        None => format!("# {} is not set", set.setting.name),
    };
    let width = config
        .all
        .iter()
        .filter(|set| set.value.is_some())
        .map(|set| line(set).chars().count())
        .max()
        .unwrap_or(0);
    let lines: Vec<String> = config
        .all
        .iter()
        .map(|set| match &set.source {
            Source::Flag(place) | Source::Environment(place) | Source::File(place) => {
                format!("{:width$}  # {place}", line(set))
            }
            Source::Default if set.value.is_some() => format!("{:width$}  # default", line(set)),
            Source::Default => line(set),
        })
        .collect();
    output::text(&lines)?;
    Ok(ExitCode::SUCCESS)
}

fn shown(set: &Set) -> Shown<'_> {
    let (source, place) = match &set.source {
        Source::Flag(place) => ("flag", Some(place.as_str())),
        Source::Environment(place) => ("environment", Some(place.as_str())),
        Source::File(place) => ("file", Some(place.as_str())),
        Source::Default => ("default", None),
    };
    let setting = set.setting;
    Shown {
        name: setting.name,
        value: set.value.as_deref(),
        source,
        place,
        flag: setting.flag(),
        variable: setting.variable(),
        default: setting.default,
        expected: setting.expected,
        meaning: meaning(setting.name),
    }
}

/// The environment; what is no text is none of ours.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: Flags, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(&flags, variables).map_err(|failure| match failure {
            Failure::Mistakes(all) => all.iter().map(ToString::to_string).collect(),
            Failure::Other(sentence) => vec![sentence],
        })
    }

    #[test]
    fn every_setting_has_a_flag_that_says_what_it_is() {
        let command = Alone::command();
        let mut flags: Vec<&str> =
            command.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        flags.retain(|name| *name != "config");
        assert_eq!(flags, SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>());
        for setting in SETTINGS {
            assert!(meaning(setting.name).len() > 10, "{}", setting.name);
            assert!(setting.default.is_none_or(setting.is_good), "{}", setting.name);
            let mut arguments = vec!["x".to_owned(), setting.flag(), "said".to_owned()];
            let parsed = <Alone as clap::Parser>::try_parse_from(arguments.drain(..)).unwrap();
            assert_eq!(parsed.flags.get(setting.name).map(String::as_str), Some("said"));
        }
    }

    #[test]
    fn a_flag_counts_before_a_variable_before_the_file_before_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("farebox.toml");
        let text = "data = \"of-file\"\nlisten = \"127.0.0.1:1\"\nrequests_per_minute = 7\n\
                    test_clock = 2026-01-01T00:00:00+08:00\n";
        std::fs::write(&path, text).unwrap();
        let flags =
            Flags { config: Some(path.clone()), data: Some("of-flag".to_owned()), ..Flags::default() };
        let variables = [
            ("FAREBOX_DATA", "of-variable"),
            ("FAREBOX_LISTEN", "127.0.0.1:2"),
            ("FAREBOX_LOG_LEVEL", ""),
            ("FAREBOX_KEY", "another program's"),
            ("HOME", "anything"),
        ];
        let config = read(flags, &variables).unwrap();
        let of = |name: &str| {
            let shown = shown(config.all.iter().find(|set| set.setting.name == name).unwrap());
            (shown.value, shown.source, shown.place.map(str::to_owned))
        };
        let place = |line: u32| Some(format!("{}:{line}", path.display()));
        assert_eq!(of("data"), (Some("of-flag"), "flag", Some("--data".to_owned())));
        assert_eq!(of("listen"), (Some("127.0.0.1:2"), "environment", Some("FAREBOX_LISTEN".to_owned())));
        assert_eq!(of("requests_per_minute"), (Some("7"), "file", place(3)));
        assert_eq!(of("test_clock"), (Some("2026-01-01T00:00:00+08:00"), "file", place(4)));
        assert_eq!(of("log_level"), (Some("info"), "default", None));
        assert_eq!(of("metrics_listen"), (None, "default", None));
        // The variable names the file where no flag does.
        let named = [("FAREBOX_CONFIG", path.to_str().unwrap())];
        assert_eq!(read(Flags::default(), &named).unwrap().text("data"), Some("of-file"));
    }

    #[test]
    fn watchers_have_another_address() {
        let both = |listen: &str, metrics: &str| {
            let flags = Flags { listen: Some(listen.to_owned()), ..Flags::default() };
            read(flags, &[("FAREBOX_METRICS_LISTEN", metrics)]).err()
        };
        let said = "FAREBOX_METRICS_LISTEN: \"127.0.0.1:9464\"; expected another address than that of listen";
        assert_eq!(both("127.0.0.1:9464", "127.0.0.1:9464"), Some(vec![said.to_owned()]));
        assert_eq!(both("127.0.0.1:9464", "127.0.0.1:9465"), None);
        assert_eq!(both("127.0.0.1:0", "127.0.0.1:0"), None);
    }

    #[test]
    fn every_mistake_has_its_place() {
        let flags = Flags { listen: Some("here".to_owned()), ..Flags::default() };
        let wrong = read(flags, &[("FAREBOX_LISTN", "x"), ("FAREBOX_REQUESTS_PER_MINUTE", "0")]);
        assert_eq!(
            wrong.err().unwrap(),
            [
                "FAREBOX_LISTN: no setting has this name; expected the name of a setting; did you mean \
                 \"FAREBOX_LISTEN\"?",
                "--listen: \"here\"; expected an IP address with a port, such as \"127.0.0.1:8080\"",
                "FAREBOX_REQUESTS_PER_MINUTE: \"0\"; expected a whole number from 1 to 4294967295",
            ]
        );
        let missing = read(Flags { config: Some("no/such.toml".into()), ..Flags::default() }, &[]);
        assert!(missing.err().unwrap()[0].starts_with("no/such.toml cannot be read: "));
    }
}
