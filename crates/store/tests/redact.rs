//! Records of every kind of fact, redacted: what is left can be read, is the same but for texts, and is left alone the
//! next time.

use farebox_core::engine::{Fact, licences};
use farebox_core::licence::LicenceKey;
use farebox_store::{Entry, Position, Public, Redactor};
use std::collections::BTreeSet;

fn records() -> Vec<Vec<u8>> {
    let corpus = include_str!("format-1.txt");
    let hex = |line: &str| -> Vec<u8> {
        (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect()
    };
    corpus.lines().filter(|line| !line.starts_with('#')).map(hex).collect()
}

/// What a value shows, without its texts: names of fields, numbers, moments; in any order.
fn bones(entry: &Entry) -> Vec<String> {
    let shown = format!("{entry:?}");
    let mut bones: Vec<String> = shown
        .split('"')
        .step_by(2)
        .flat_map(|part| part.split([',', '{', '}', '(', ')', '[', ']']))
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    bones.sort();
    bones
}

/// The accounts that a record names.
fn accounts(entry: &Entry) -> BTreeSet<String> {
    let shown = format!("{entry:?}");
    let named = ["account: \"", "id: \""].into_iter().flat_map(|field| {
        let rests: Vec<String> =
            shown.split(field).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        rests
    });
    named.collect()
}

#[test]
fn every_kind_of_fact_is_whole_without_its_personal_texts() {
    let mut changed = 0;
    for record in records() {
        let entry = Entry::from_record(&record).unwrap();
        for account in accounts(&entry) {
            let redactor = || Redactor::new(&account, "nobody", [9; 32], Public::default());
            let Some(once) = redactor().entry(&record).unwrap() else { continue };
            changed += 1;
            let left = Entry::from_record(&once).unwrap();
            assert_eq!(bones(&left), bones(&entry), "{account}: {entry:#?} {left:#?}");
            assert_eq!(redactor().entry(&once).unwrap(), None, "{account}: {left:#?}");
            for (before, after) in lines(&entry).zip(lines(&left)) {
                assert_eq!(
                    (&before.id, &before.formula, before.amount),
                    (&after.id, &after.formula, after.amount)
                );
                if before.account != account {
                    assert_eq!(before, after);
                }
            }
        }
        let nobody = Redactor::new("nobody at all", "nobody", [9; 32], Public::default()).entry(&record);
        assert_eq!(nobody, Ok(None), "{entry:#?}");
    }
    assert!(changed > 10, "{changed}");
}

fn lines(entry: &Entry) -> impl Iterator<Item = &farebox_core::bill::Line> {
    entry.facts.iter().flat_map(|fact| match fact {
        Fact::Charged { lines, .. } => lines.as_slice(),
        _ => &[],
    })
}

#[test]
fn who_holds_a_licence_becomes_a_token_everywhere() {
    let key = LicenceKey { catalogue: "ccc".to_owned(), licence: "agent".to_owned() };
    let holder = "jane.doe@example.org";
    let used = licences::Fact::Used {
        account: "acme".to_owned(),
        application: "sales".to_owned(),
        key: key.clone(),
        holder: holder.to_owned(),
        way: "web".to_owned(),
        at: Default::default(),
        bound: true,
        instead_of: vec![key.clone()],
    };
    let reset = licences::Fact::Reset {
        account: "acme".to_owned(),
        application: "sales".to_owned(),
        at: Default::default(),
        released: vec![(key.clone(), holder.to_owned())],
    };
    let entry = Entry {
        recorded_at: Default::default(),
        effective_at: Default::default(),
        actor: "k".to_owned(),
        command: format!("{{\"command\":\"licence\",\"holder\":\"{holder}\",\"application\":\"sales\"}}"),
        counted: Position::default(),
        facts: vec![Fact::Licences(used), Fact::Licences(reset)],
    };
    let mut redactor = Redactor::new("acme", "acme", [9; 32], Public::default());
    let left = Entry::from_record(&redactor.entry(&entry.to_record()).unwrap().unwrap()).unwrap();
    let (who, what) = (redactor.token(holder), redactor.token("sales"));
    let command = format!("{{\"command\":\"licence\",\"holder\":\"{who}\",\"application\":\"{what}\"}}");
    assert_eq!(left.command, command);
    let Fact::Licences(licences::Fact::Used { application, holder, key: of, way, .. }) = &left.facts[0]
    else {
        panic!("{left:?}")
    };
    assert_eq!((application, holder, of, way.as_str()), (&what, &who, &key, "web"));
    let Fact::Licences(licences::Fact::Reset { released, .. }) = &left.facts[1] else { panic!("{left:?}") };
    assert_eq!(released, &[(key, who)]);
}
