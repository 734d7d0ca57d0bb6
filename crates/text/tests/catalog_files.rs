//! The catalogues of the repository.

use farebox_core::catalog::{HeldBy, Measure, Mode, Settle};
use farebox_core::money::Exact;
use farebox_text::catalog;
use std::collections::BTreeSet;

/// Every catalogue file of the repository, by name.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalogs");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn all_are_without_mistakes() {
    let files = files();
    assert!(files.len() >= 5);
    for (name, bytes) in files {
        match catalog::parse(&name, &bytes) {
            Ok(catalogue) => assert_eq!(format!("{}.toml", catalogue.id), name),
            Err(mistakes) => {
                panic!("{}", mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>())
            }
        }
    }
}

fn read(name: &str) -> farebox_core::catalog::Catalogue {
    let (_, bytes) = files().into_iter().find(|(file, _)| file == name).unwrap();
    catalog::parse(name, &bytes).unwrap()
}

/// Editions contain one another: R-CEC-6, R-CEC-9.
#[test]
fn cec_editions_include_what_the_source_says() {
    let cec = read("huawei-cec.toml");
    let features = |plan: &str| cec.plan(plan).unwrap().1.features.join(" ");
    let basic = "voice-inbound routing-and-queuing voice-recording softphone contact-management \
                 ivr-channels manual-outbound";
    assert_eq!(features("basic"), basic);
    assert_eq!(features("professional"), format!("{basic} automatic-outbound"));
    assert_eq!(features("advanced"), format!("{basic} automatic-outbound web-chat social-media"));
    assert_eq!(features("voice-chatbot"), "asr tts oiap");
    assert_eq!(features("text-chatbot"), "oiap");
    for plan in ["basic", "professional", "advanced"] {
        assert_eq!(cec.plan(plan).unwrap().1.provides["ivr-channel"], 1);
    }
    assert!(cec.plans().all(|plan| plan.modes == [Mode::PayPerUse]));
}

/// R-YKF-6, R-YKF-12 to R-YKF-14.
#[test]
fn customer_service_plans_are_as_the_source_says() {
    let ykf = read("huawei-ykf.toml");
    let plan = |id: &str| ykf.plan(id).unwrap().1;
    let has = |id: &str, feature: &str| plan(id).features.iter().any(|known| known == feature);
    // All-round seats contain basic and telesales seats, and provide one channel all the same.
    for feature in plan("basic-seat").features.iter().chain(&plan("sales-seat").features) {
        assert!(has("all-round-seat", feature));
    }
    assert!(has("all-round-seat", "online-service"));
    assert_eq!(plan("all-round-seat").provides["ivr-channel"], 1);
    assert_eq!(plan("basic-seat").provides["ivr-channel"], 1);
    assert!(has("basic-seat", "voice-inbound"));
    assert!(!has("predictive-seat", "voice-inbound") && !has("mobile-app-seat", "voice-inbound"));
    assert!(!has("basic-ivr", "tts") && has("advanced-ivr", "tts") && !has("advanced-ivr", "asr"));
    assert!(has("smart-ivr", "tts") && has("smart-ivr", "asr"));
    for (product, modes) in [
        ("seats", &[Mode::PayPerUse, Mode::Prepaid][..]),
        ("number-rents", &[Mode::PayPerUse, Mode::Prepaid]),
        ("channels", &[Mode::Prepaid]),
        ("call-fees", &[Mode::PayPerUse]),
    ] {
        for plan in ykf.products[product].plans.values() {
            assert_eq!(plan.modes, modes, "{}", plan.id);
            let discountable = product != "call-fees";
            assert!(plan.charges.iter().all(|charge| charge.discountable == discountable), "{}", plan.id);
        }
    }
    // Prepaid, a price is for each unit and month of the term.
    for charge in ykf.plans().flat_map(|plan| &plan.charges) {
        let prepaid = charge.modes == [Mode::Prepaid];
        assert_eq!(charge.measure == Measure::Term, prepaid, "{}", charge.id);
        assert_eq!(charge.settle == Settle::AtPurchase, prepaid, "{}", charge.id);
    }
    assert_eq!(ykf.products["seats"].plans.len(), 7);
    assert_eq!(plan("inbound-line-calls").charges[0].pricing.free, Exact::whole(500));
}

/// The catalogues between them use every kind of everything.
#[test]
fn every_kind_of_charge_is_shown_by_a_catalogue() {
    let mut seen = BTreeSet::new();
    for (name, bytes) in files() {
        let catalogue = catalog::parse(&name, &bytes).unwrap();
        for meter in catalogue.meters.values() {
            seen.insert(format!("{:?}", meter.aggregate));
            let rounding = format!("{:?}", meter.rounding);
            seen.insert(rounding.split('(').next().unwrap().into());
        }
        for charge in catalogue.plans().flat_map(|plan| &plan.charges) {
            let model = format!("{:?}", charge.pricing.model);
            seen.insert(model.split(['(', ' ']).next().unwrap().into());
            if let Measure::Held(held) = &charge.measure {
                let by = format!("{:?}", held.by);
                seen.insert(by.split(' ').next().unwrap().into());
                if let HeldBy::Day { month, .. } = held.by {
                    seen.insert(format!("{month:?}"));
                }
            }
        }
    }
    let seen: Vec<_> = seen.iter().map(String::as_str).collect();
    assert_eq!(
        seen.join(" "),
        "Actual Block Count Day Deck EachUp Flat Full Graduated Latest Max None PerUnit Second Sum SumUp \
         Thirty TimeWeighted Unique Volume"
    );
}
