//! What is wrong is said with its place, what was found, what is expected, and what was meant.

use crate::catalog;
use crate::common::{farebox, root, scratch};

/// Bills a book below its catalogue line: what the binary says about it, without its folder.
fn mistakes(name: &str, lines: &str) -> String {
    let path = scratch(name, format!("{}{lines}", catalog()));
    let output = farebox(&["bill", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is partly done");
    let folder = format!("{}/", path.parent().unwrap().display());
    String::from_utf8(output.stderr).unwrap().replace(&folder, "")
}

#[test]
fn a_misspelt_verb() {
    let said = mistakes("verb.book", "2020-01-04 open acme\n2020-01-04 subscrbe acme basic-seat 10\n");
    assert!(said.starts_with("verb.book:3:12: unknown verb \"subscrbe\"; expected one of "), "{said}");
    assert!(said.ends_with("; did you mean \"subscribe\"?\n"), "{said}");
}

#[test]
fn an_unknown_plan() {
    let said = mistakes("plan.book", "2020-01-04 open acme\n2020-01-04 subscribe acme basc-seat 10\n");
    assert_eq!(
        said,
        "plan.book:3:27: unknown plan \"basc-seat\"; expected a plan of huawei-ykf; did you mean \"basic-seat\"?\n"
    );
}

#[test]
fn a_version_with_other_cycles() {
    let list = std::fs::read_to_string(root().join("scenarios/catalog/measured-2.toml")).unwrap();
    let first = list.replacen("effective = ", "# effective = ", 1);
    scratch("cycles-1.toml", first);
    let daily = list.replacen("settle = \"month\"", "settle = \"day\"", 1);
    assert_ne!(daily, list);
    scratch("cycles-2.toml", daily);
    let said = mistakes("cycles.book", "catalog \"cycles-1.toml\"\ncatalog \"cycles-2.toml\"\n");
    assert!(said.contains("cycles.book:3:9: a version of measured in which "), "{said}");
    assert!(said.contains("settle = \"day\"") && said.contains("or one of another id"), "{said}");
}

#[test]
fn all_mistakes_at_once() {
    let said = mistakes(
        "many.book",
        "2020-01-04 open acme\n2020-01-04 subscribe acme basc-seat 10\n2020-01-04 topup amce 10\n",
    );
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.contains("many.book:4:18: unknown account \"amce\""), "{said}");
    assert!(said.ends_with("2 mistakes; nothing was done\n"), "{said}");
}

#[test]
fn a_misspelt_master() {
    let said = mistakes("member.book", "2020-01-04 open acme\n2020-01-04 open north member of amce\n");
    let expected =
        "unknown account \"amce\"; expected an account that the book opens; did you mean \"acme\"?";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn misspelt_words_about_licences() {
    let catalogue = root().join("catalogs/tencent-ccc.toml");
    let book = "2026-05-04 open acme\n\
                2026-05-04 subscribe acme standard-package prepaid 1 month application=support\n\
                2026-05-04 login acme/suport ann@example.com via web\n\
                2026-05-04 login acme/support ann@example.com via wbe with standard-agnt\n\
                2026-05-04 reset acme/support agents\n";
    let path = scratch("licences.book", format!("catalog \"{}\"\n{book}", catalogue.display()));
    let output = farebox(&["bill", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let folder = format!("{}/", path.parent().unwrap().display());
    let said = String::from_utf8(output.stderr).unwrap().replace(&folder, "");
    let expected = "\
licences.book:4:23: unknown application \"suport\"; expected one that an order of acme names: application=…; did you mean \"support\"?
licences.book:5:51: unknown way of use \"wbe\"; expected one of mobile, monitor, phone, sdk, web; did you mean \"web\"?
licences.book:5:60: unknown licence \"standard-agnt\"; expected a licence of the book's catalogues; did you mean \"standard-agent\"?
licences.book:6:31: unknown licence \"agents\"; expected a licence of the book's catalogues
4 mistakes; nothing was done
";
    assert_eq!(said, expected);
}

#[test]
fn a_misspelt_field_of_a_catalogue() {
    let text = std::fs::read_to_string(root().join("catalogs/huawei-ocr.toml")).unwrap();
    let path = scratch("misspelt.toml", text.replacen("currency =", "curency =", 1));
    let output = farebox(&["catalog", "check", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let mistake = said.lines().find(|line| line.contains("curency")).unwrap_or_else(|| panic!("{said}"));
    assert!(mistake.contains("misspelt.toml:") && mistake.contains("unknown field \"curency\""), "{said}");
    assert!(mistake.ends_with("; did you mean \"currency\"?"), "{said}");
}

#[test]
fn an_unknown_question_is_told_with_all_else() {
    let said =
        mistakes("asked.book", "2020-01-04 open acme\n2020-01-04 topup acmee 5\n\n$ bil acme 2020-01\n");
    assert!(said.contains("asked.book:3:18: unknown account \"acmee\""), "{said}");
    assert!(said.contains("asked.book:5:3: unknown question \"bil\"; expected one of "), "{said}");
    assert!(said.ends_with("2 mistakes; nothing was done\n"), "{said}");
}

#[test]
fn files_that_are_not_there() {
    for arguments in [
        &["bill", "nowhere.book"][..],
        &["explain", "nowhere.book", "acme-2020-01-1"],
        &["test", "nowhere.test"],
        &["catalog", "check", "nowhere.toml"],
        &["catalog", "show", "nowhere.toml"],
        &["quote", "nowhere.toml", "--from", "2020-01-01", "subscribe basic-seat"],
    ] {
        let output = farebox(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("nowhere."), "{arguments:?}: {said}");
        assert!(said.contains("No such file") || said.contains("cannot find"), "{arguments:?}: {said}");
    }
    let said = mistakes("import.book", "import asterisk \"nowhere.csv\" zone UTC\n");
    assert!(said.starts_with("import.book:2:17: \"nowhere.csv\": "), "{said}");
}

#[test]
fn a_refused_order_in_a_bill() {
    let lines = "2020-01-04 open acme\n2020-01-04 subscribe acme basic-ivr 2 pay-per-use\n";
    let said = mistakes("refused.book", lines);
    assert_eq!(
        said,
        "refused.book:3: refused: mode-not-offered: basic-ivr is not sold pay-per-use; it is sold prepaid\n"
    );
    // What the book itself expects is no mistake.
    let (_, expected) = said.split_once("refused: ").unwrap();
    let path = scratch("expected.book", format!("{}{lines}! {expected}", catalog()));
    let output = farebox(&["bill", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_unknown_line_names_the_bills() {
    let output = farebox(&["explain", "examples/seats/january.book", "acme-2020-02-1"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "farebox: no line \"acme-2020-02-1\"; the bills are acme-2020-01\n");
}

#[test]
fn bytes_that_are_no_text() {
    for (name, bytes) in [
        ("nul.book", &b"2020-01-04 open a\0b\n"[..]),
        ("latin.book", b"2020-01-04 open acme \"M\xfcller\"\n"),
        ("binary.book", &[0xff; 4096]),
    ] {
        let path = scratch(name, bytes);
        let output = farebox(&["bill", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
