//! The price lists over which histories are written.

use farebox_oracle::catalogue::{self, Catalogue, Charge, Measure, Model, Plan};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Price lists of one currency, and what may be done with them.
pub struct World {
    pub name: &'static str,
    /// Where its files are.
    pub folder: PathBuf,
    /// Files, later versions of a list among them.
    pub files: Vec<String>,
    /// The same, read.
    pub lists: Vec<Catalogue>,
    /// The zone of the book, and a name of it.
    pub zone: &'static str,
    pub first_day: &'static str,
}

impl World {
    /// All plans by name, as the first version of their list has them.
    pub fn plans(&self) -> Vec<(&Catalogue, &str, &Plan)> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for list in &self.lists {
            for (name, plan) in &list.plans {
                if seen.insert(name) {
                    all.push((list, name.as_str(), plan));
                }
            }
        }
        all
    }

    /// All charges, as `plan/charge`.
    pub fn charges(&self) -> Vec<(String, &Charge)> {
        let of = |name: &str, charge: &Charge| format!("{name}/{}", charge.id);
        let plans = self.plans().into_iter();
        plans.flat_map(|(_, name, plan)| plan.charges.iter().map(move |one| (of(name, one), one))).collect()
    }

    /// Charges with one price, which can be negotiated.
    pub fn negotiable(&self) -> Vec<String> {
        let single = |charge: &Charge| matches!(charge.pricing.model, Model::PerUnit(_));
        self.charges().into_iter().filter(|(_, charge)| single(charge)).map(|(name, _)| name).collect()
    }

    /// Tiers of customers that price lists know.
    pub fn tiers(&self) -> Vec<String> {
        let known = self.lists.iter().filter_map(|list| list.arrears.as_ref());
        known.flat_map(|one| one.tiers.keys().cloned()).collect()
    }

    /// Whether a charge of a plan settles every hour without anything happening.
    pub fn ticks(&self, plan: &Plan) -> bool {
        plan.charges.iter().any(|one| matches!(one.measure, Measure::Seconds { .. }))
    }
}

/// A second version of a list: its date and other prices.
fn later(text: &str, from: &[(&str, &str)]) -> String {
    from.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old} is not there");
        text.replace(old, new)
    })
}

/// Tiers and quotas that a history of 200 lines can reach.
const SMALL: &[(&str, &[(&str, &str)])] = &[
    (
        "harbour-api",
        &[
            ("free = 100000", "free = 3"),
            ("up-to = 10000000,", "up-to = 12,"),
            ("up-to = 1000000,", "up-to = 7,"),
            ("up-to = 50000,", "up-to = 5,"),
            ("up-to = 1000,", "up-to = 3,"),
        ],
    ),
    (
        "huawei-ocr",
        &[
            ("up-to = 50000,", "up-to = 15,"),
            ("up-to = 10000,", "up-to = 8,"),
            ("up-to = 1000,", "up-to = 4,"),
        ],
    ),
    ("line-2026", &[("up-to = 100,", "up-to = 5,")]),
    ("contact-centre", &[("requires = [\"standard\"]", "requires = [\"standard\", \"standard-trial\"]")]),
    // Two lists with plans of one name, and shorter days.
    (
        "lines-charged",
        &[
            ("plans.line.", "plans.charged-line."),
            ("plans.line]", "plans.charged-line]"),
            ("plans.setup.", "plans.charged-setup."),
            ("plans.setup]", "plans.charged-setup]"),
            ("grace-days = 15", "grace-days = 2"),
            ("retention-days = 15", "retention-days = 6"),
        ],
    ),
    // Few units, and lines that settle by the day beside others by the hour.
    (
        "hold/lines",
        &[
            ("units = 60,", "units = 20,"),
            ("units = 30,", "units = 7,"),
            ("settle = \"hour\"\nprice", "settle = \"day\"\nprice"),
        ],
    ),
    ("lines", &[("grace-days = 15", "grace-days = 4"), ("retention-days = 15", "retention-days = 3")]),
    ("tencent-ccc", &[("units = 8000", "units = 15"), ("minimum-quantity = 5000", "minimum-quantity = 3")]),
    (
        "bundles",
        &[
            ("units = 1000,", "units = 12,"),
            ("units = 100,", "units = 5,"),
            ("up-to = 10000,", "up-to = 30,"),
            ("up-to = 1000,", "up-to = 20,"),
            ("price = \"0.05\" }]", "price = \"0.05\", flat = \"0.70\" }]"),
        ],
    ),
    ("included", &[("units = 100,", "units = 4,"), ("plans.line", "plans.wire")]),
    // Plans of which days, tiers and usage of both modes go over a change.
    (
        "plans-at-term-end",
        &[
            ("plans.large.charges]]\nid = \"term\"", "plans.large.charges]]\nid = \"fast-term\""),
            ("plans.small.", "plans.slow."),
            ("plans.small]", "plans.slow]"),
            ("plans.large.", "plans.fast."),
            ("plans.large]", "plans.fast]"),
            ("plans.recording", "plans.tape"),
            ("requires = [\"small\"]", "requires = [\"slow\"]"),
            ("held = \"day\"", "held = \"second\"\nsettle = \"day\""),
        ],
    ),
    (
        "plans",
        &[
            ("title = \"Calls, Small\"\nmodes = [\"pay-per-use\"]\n", "title = \"Calls, Small\"\n"),
            ("title = \"Calls, Large\"\nmodes = [\"pay-per-use\"]\n", "title = \"Calls, Large\"\n"),
            (
                "price = \"0.30\"",
                "graduated = [{ up-to = 5, price = \"0.40\" }, { up-to = 30, price = \"0.25\" }, { price = \"0.07\" }]",
            ),
        ],
    ),
];

/// What happens to who owes, for lists that do not say so.
const ARREARS: &str = "[policy.arrears]
default-tier = \"strict\"
grace-operations = \"part\"
tiers = [
    { id = \"strict\", pay-per-use = { grace-days = 0, retention-days = 5 }, prepaid = { grace-days = 1, retention-days = 4 } },
    { id = \"mild\", pay-per-use = { grace-days = 3, retention-days = 10 }, prepaid = { grace-days = 0, retention-days = 9 } },
]
";

/// Lists that get it.
const WITH_ARREARS: &[&str] =
    &["hold/lines", "harbour-api", "line-2026", "workers", "full-month", "last-day-charged", "plans"];

/// Later versions of shipped lists.
const LATER: &[(&str, &[(&str, &str)])] = &[
    (
        "harbour-api",
        &[
            ("version = \"2026-01-01\"", "version = \"2026-02-15\""),
            ("effective = \"2026-01-01\"", "effective = \"2026-02-15 12:30:00\""),
            ("price = \"10.00\"", "price = \"11.11\""),
            ("price = \"9.00\"", "price = \"9.99\""),
            ("price = \"25.00\"", "price = \"27.70\""),
            ("flat = \"100.00\"", "flat = \"120.00\""),
            ("price = \"0.08\"", "price = \"0.09\""),
            ("price = \"0.01\"", "price = \"0.013\""),
        ],
    ),
    (
        "huawei-ykf",
        &[
            ("version = \"2023-12-01\"", "version = \"2026-02-10\""),
            ("currency = \"CNY\"", "currency = \"CNY\"\neffective = \"2026-02-10\""),
            ("price = \"310.00\"", "price = \"333.00\""),
            ("price = \"0.10\"", "price = \"0.12\""),
        ],
    ),
    (
        "bundles",
        &[
            ("version = \"2026-01-01\"", "version = \"2026-02-12\""),
            ("currency = \"EUR\"", "currency = \"EUR\"\neffective = \"2026-02-12\""),
            ("units = 12,", "units = 17,"),
            ("late-days = 3", "late-days = 1"),
            ("price = \"0.10\" }", "price = \"0.11\" }"),
        ],
    ),
];

/// All worlds, their files written to a folder of `name`. Every shipped list is in one of them.
pub fn worlds(name: &str) -> Vec<World> {
    let all: [(&str, &str, &str, &[&str]); 9] = [
        ("meters and decks", "Europe/Berlin", "2026-01-10", &["catalogs/harbour-api"]),
        ("seats and phones", "+08:00", "2026-01-04", &["catalogs/huawei-ykf", "catalogs/huawei-koophone"]),
        (
            "agents and recognition",
            "+08:00",
            "2026-01-20",
            &["catalogs/huawei-cec", "catalogs/huawei-ocr", "catalogs/tencent-ccc"],
        ),
        ("packages", "+08:00", "2026-01-20", &["scenarios/package/bundles", "scenarios/package/included"]),
        (
            "corners in euros",
            "Europe/Berlin",
            "2026-03-01",
            &[
                "scenarios/catalog/line-2026-01-01",
                "scenarios/catalog/line-2026-01-16",
                "scenarios/catalog/line-2026-03-10",
                "scenarios/catalog/workers-2026-01-01",
                "scenarios/catalog/workers-2026-04-16",
                "scenarios/calendar/clocks",
                "scenarios/rating/fine-price",
            ],
        ),
        (
            "corners in yuan",
            "+08:00",
            "2026-01-20",
            &[
                "scenarios/metering/from-ivr-or-answer",
                "scenarios/metering/call-by-start",
                "scenarios/settlement/full-month",
                "scenarios/subscription/last-day-charged",
                "scenarios/terms/refund-in-full",
            ],
        ),
        (
            "owing in dollars",
            "+08:00",
            "2026-01-12",
            &[
                "scenarios/lifecycle/lines",
                "scenarios/lifecycle/lines-charged",
                "scenarios/terms/contact-centre-by-days",
            ],
        ),
        (
            "changes of plans",
            "+08:00",
            "2026-01-12",
            &["scenarios/terms/plans", "scenarios/terms/plans-at-term-end"],
        ),
        ("sessions", "+08:00", "2026-01-20", &["scenarios/hold/lines"]),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let shipped: BTreeSet<String> = std::fs::read_dir(root.join("catalogs"))
        .unwrap()
        .map(|file| format!("catalogs/{}", file.unwrap().path().file_stem().unwrap().display()))
        .collect();
    let covered: BTreeSet<String> = all.iter().flat_map(|one| one.3).map(|file| (*file).to_owned()).collect();
    let missing: Vec<&String> = shipped.difference(&covered).collect();
    assert!(missing.is_empty(), "no history uses {missing:?}: add them to a world");
    all.into_iter()
        .map(|(world, zone, first_day, lists)| write(&root, name, world, zone, first_day, lists))
        .collect()
}

fn write(
    root: &Path,
    folder: &str,
    name: &'static str,
    zone: &'static str,
    first_day: &'static str,
    lists: &[&str],
) -> World {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{folder} {name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut files: Vec<(String, String)> = Vec::new();
    for path in lists {
        let file = path.rsplit('/').next().unwrap();
        let text = std::fs::read_to_string(root.join(format!("{path}.toml"))).unwrap();
        let of = |one: &&(&str, &'static [(&str, &str)])| match one.0.contains('/') {
            true => path.ends_with(one.0),
            false => file.starts_with(one.0),
        };
        let text = SMALL.iter().find(of).map_or(text.clone(), |(_, changes)| later(&text, changes));
        let owing = WITH_ARREARS.iter().any(|name| file.starts_with(name) || path.ends_with(name));
        let text = if owing { format!("{text}\n{ARREARS}") } else { text };
        if let Some((_, changes)) = LATER.iter().find(of) {
            files.push((format!("{file}-2.toml"), later(&text, changes)));
        }
        files.push((format!("{file}.toml"), text));
    }
    files.sort();
    for (file, text) in &files {
        std::fs::write(folder.join(file), text).unwrap();
    }
    let lists = files.iter().map(|(_, text)| catalogue::read(text)).collect();
    World { name, folder, files: files.into_iter().map(|(file, _)| file).collect(), lists, zone, first_day }
}
