//! The price lists over which histories are written, and the usage that fits them.

use crate::story::{Dice, Plan, Usage, World};

const fn plan(id: &'static str, pay_per_use: bool, terms: &'static [i64], states: &'static str) -> Plan {
    Plan { id, pay_per_use, terms, states, by_second: false }
}

fn harbour_usage(dice: &mut Dice) -> Usage {
    match dice.below(9) {
        0 => {
            let status = *dice.pick(&["200", "299", "300", "404", "204", "many"]);
            let kind = *dice.pick(&["search", "health", "list"]);
            ("request", vec![("status", status.into()), ("kind", kind.into())], 0)
        }
        1 => {
            let direction = *dice.pick(&["out", "out", "in"]);
            let bytes = dice.below(9_000_000_000).to_string();
            ("transfer", vec![("direction", direction.into()), ("bytes", bytes)], 0)
        }
        2 => ("connections", vec![("open", dice.below(4000).to_string())], 0),
        3 => ("workers", vec![("configured", dice.below(20).to_string())], 0),
        4 => ("login", vec![("user", format!("u{}", dice.below(12)))], 0),
        5 => ("storage", vec![("bytes", dice.below(900_000_000_000).to_string())], 0),
        6 => {
            let seconds = dice.below(4000);
            let text = if dice.once_in(8) { format!("{seconds}.125") } else { seconds.to_string() };
            ("build", vec![("seconds", text)], seconds)
        }
        _ => {
            let seconds = if dice.once_in(6) { 0 } else { dice.below(1200) };
            let to = *dice.pick(&["4420712345", "4915112345", "331234", "15551234", "+44161", "+4930"]);
            let direction = *dice.pick(&["outbound", "outbound", "inbound"]);
            (
                "call",
                vec![("direction", direction.into()), ("seconds", seconds.to_string()), ("to", to.into())],
                seconds,
            )
        }
    }
}

fn ykf_usage(dice: &mut Dice) -> Usage {
    let seconds = *dice.pick(&[0, 1, 59, 60, 61, 600, 3601, 14_999]);
    let number = *dice.pick(&["0101", "0102", "0103"]);
    let direction = *dice.pick(&["outbound", "inbound"]);
    let mut attributes = vec![("direction", direction.to_owned()), ("number", number.to_owned())];
    if !dice.once_in(20) {
        attributes.push(("seconds", if dice.once_in(20) { "many".to_owned() } else { seconds.to_string() }));
    }
    ("call", attributes, seconds)
}

fn usd_usage(dice: &mut Dice) -> Usage {
    let api = *dice.pick(&["passport", "id-card", "invoice", "general-text"]);
    let status = *dice.pick(&["200", "200", "201", "299", "300", "500", "404"]);
    ("ocr-call", vec![("api", api.into()), ("status", status.into())], 0)
}

pub fn worlds() -> Vec<World> {
    const HARBOUR: &[Plan] = &[
        plan("cloud", true, &[], ""),
        plan("cloud", true, &[], ""),
        plan("voice", true, &[], ""),
        plan("team", true, &[1, 12], ""),
        plan("enterprise", true, &[], ""),
    ];
    const PHONES: &[Plan] = &[
        plan("basic-seat", true, &[1, 6, 12], ""),
        plan("all-round-seat", true, &[1, 6, 12], ""),
        plan("smart-ivr", false, &[1, 6, 12], ""),
        plan("fixed-line-rent", true, &[1, 6, 12], "number"),
        plan("fixed-line-calls", true, &[], "number"),
        plan("inbound-line-calls", true, &[], "number"),
        plan("line-95-calls", true, &[], "number"),
        Plan {
            id: "standard-phone",
            pay_per_use: true,
            terms: &[1, 2, 3],
            states: "specification",
            by_second: true,
        },
    ];
    const DOLLARS: &[Plan] = &[
        plan("basic", true, &[], ""),
        plan("advanced", true, &[], ""),
        plan("text-chatbot", true, &[], ""),
        plan("passport-ocr", true, &[], ""),
        plan("id-card-ocr", true, &[], ""),
        plan("invoice-ocr", true, &[], ""),
        plan("general-text-ocr", true, &[], ""),
    ];
    vec![
        World {
            name: "harbour",
            files: vec!["harbour-api.toml".into(), "harbour-api-2.toml".into()],
            zone: "Europe/Berlin",
            first_day: "2026-01-10",
            plans: HARBOUR,
            usage: harbour_usage,
            negotiable: &[
                "cloud/data-out",
                "cloud/build-minutes",
                "team/seats",
                "team/term",
                "enterprise/seats",
            ],
            discountable: &[
                "cloud",
                "cloud/requests",
                "voice",
                "team",
                "team/setup",
                "enterprise/support",
                "enterprise",
            ],
        },
        World {
            name: "seats and phones",
            files: vec!["huawei-ykf.toml".into(), "huawei-koophone.toml".into(), "huawei-ykf-2.toml".into()],
            zone: "+08:00",
            first_day: "2026-01-04",
            plans: PHONES,
            usage: ykf_usage,
            negotiable: &[
                "basic-seat/seat-days",
                "basic-seat/term",
                "fixed-line-calls/outbound-minutes",
                "inbound-line-calls/outbound-minutes",
                "standard-phone/phone-seconds",
            ],
            discountable: &[
                "basic-seat",
                "basic-seat/seat-days",
                "line-95-calls",
                "standard-phone",
                "smart-ivr",
            ],
        },
        World {
            name: "agents and OCR",
            files: vec!["huawei-cec.toml".into(), "huawei-ocr.toml".into()],
            zone: "+08:00",
            first_day: "2026-01-20",
            plans: DOLLARS,
            usage: usd_usage,
            negotiable: &["basic/agent-days", "passport-ocr/calls", "id-card-ocr/calls"],
            discountable: &["basic", "advanced", "invoice-ocr", "general-text-ocr/calls"],
        },
    ]
}
