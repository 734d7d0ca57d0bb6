//! Refusals as problem details (RFC 9457): the same stable codes as the core's, each with its status.

use crate::mistake::FieldMistake;
use farebox_core::calendar::Zone;
use farebox_core::engine::Refusal;
use serde::Serialize;
use utoipa::ToSchema;

/// The codes of each status, by this rule:
///
/// - 404: the account, subscription, session, bill, line or budget that the wish is about is not
///   there.
/// - 402: money is missing: a payment makes it possible.
/// - 403: what the account has does not include it, or the operator has suspended the account.
/// - 409: as things stand now it cannot be; the same wish could be accepted at another time.
/// - 422: the wish itself is wrong: a number, or something that the price list does not have or
///   never does.
/// - 500: the counters of usage are not as decisions need them; counting again mends that.
pub const STATUSES: &[(u16, &[&str])] = &[
    (402, &["frozen", "only-part-in-grace", "not-covered", "more-than-balance", "over-credit-limit"]),
    (403, &["suspended", "feature-not-included", "no-licences"]),
    (
        404,
        &[
            "unknown-account",
            "unknown-subscription",
            "unknown-hold",
            "no-bill",
            "unknown-line",
            "unknown-budget",
        ],
    ),
    (409, CONFLICTS),
    (422, WRONG),
    (500, &["counter-cuts-period"]),
];

const CONFLICTS: &[&str] = &[
    "account-exists",
    "master-is-member",
    "subscription-exists",
    "subscription-ended",
    "no-term",
    "term-runs",
    "below-zero",
    "quantity-fixed",
    "package-required",
    "renewed-with-package",
    "trial-used",
    "trial-runs",
    "same-plan",
    "add-ons-need-plan",
    "no-package",
    "hold-exists",
    "hold-over",
    "nothing-takes",
    "no-place",
    "nothing-left",
    "holds-another-licence",
    "no-free-licence",
    "resets-used-up",
    "lapsed",
    "released",
    "tier-of-payer",
    "credit-limit-of-payer",
    "no-credit-limit",
    "already-suspended",
    "not-suspended",
    "coupon-exists",
    "bill-not-issued",
    "bill-issued",
    "bill-held",
    "bill-not-held",
    "more-than-due",
    "more-than-billed",
    "not-adjustable",
    "given-back",
    "more-than-line",
];

const WRONG: &[&str] = &[
    "out-of-range",
    "bad-amount",
    "due-before-now",
    "before-opening",
    "unknown-plan",
    "ambiguous-plan",
    "other-currency",
    "mode-not-offered",
    "term-not-offered",
    "no-refund",
    "mode-change-not-supported",
    "plan-change-not-supported",
    "option-change-not-supported",
    "missing-attribute",
    "unknown-attribute",
    "not-positive",
    "before-start",
    "unknown-charge",
    "price-not-negotiable",
    "bad-percent",
    "ends-before-start",
    "term-of-package",
    "renewal-term-not-offered",
    "trial-order",
    "other-cycles",
    "other-product",
    "term-not-running",
    "used-not-granted",
    "package-not-named",
    "below-minimum",
    "not-a-member",
    "bad-units",
    "unknown-way",
    "unknown-licence",
    "no-email",
    "no-reset",
    "unknown-tier",
    "unknown-plan-or-product",
    "not-a-label",
    "no-member",
    "unknown-product",
];

/// The HTTP status of a refusal's code: 500 for a code that is none.
pub fn status(code: &str) -> u16 {
    let of = STATUSES.iter().find(|(_, codes)| codes.contains(&code));
    of.map_or(500, |(status, _)| *status)
}

/// Why a request was not done: `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is: `urn:farebox:problem:CODE`.
    pub r#type: String,
    /// The kind in a few words, the same for every problem of it.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Why, in a sentence for people. It may change.
    pub detail: String,
    /// The stable code, for programs: docs/errors.md has those of refusals.
    pub code: String,
    /// The account that it is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The request, as `X-Request-Id` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The part of the body that was refused, such as `/commands/1`, where it wishes several things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// From when on it can be asked, where it was asked too early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Every mistake of the body; empty where the body is well written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<FieldMistake>,
}

impl Problem {
    /// Its media type.
    pub const MEDIA_TYPE: &str = "application/problem+json";
    /// The code of a body with mistakes. It is that of no refusal.
    pub const MISTAKES: &str = "mistakes";

    /// A problem of this code and status.
    pub fn new(code: &str, status: u16, detail: impl Into<String>) -> Problem {
        let mut letters = code.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let title: String = first.into_iter().chain(letters).collect::<String>().replace('-', " ");
        Problem {
            r#type: format!("urn:farebox:problem:{code}"),
            title,
            status,
            detail: detail.into(),
            code: code.to_owned(),
            account: None,
            field: None,
            request_id: None,
            until: None,
            mistakes: Vec::new(),
        }
    }

    /// A refused wish for an account; moments in the sentence as the wall clock of `zone` shows them.
    pub fn refused(refusal: &Refusal, account: &str, zone: &Zone) -> Problem {
        Problem::of_refusal(refusal, account, refusal.sentence(zone))
    }

    /// The same to who sees the account and not who pays for it.
    pub fn refused_to_member(refusal: &Refusal, account: &str, zone: &Zone) -> Problem {
        Problem::of_refusal(refusal, account, refusal.sentence_to_member(zone))
    }

    fn of_refusal(refusal: &Refusal, account: &str, sentence: String) -> Problem {
        let code = refusal.code();
        let problem = Problem::new(code, status(code), sentence);
        Problem { account: Some(account.to_owned()), ..problem }
    }

    /// A body, or parameters, with mistakes: 400 where it is no JSON, else 422.
    pub fn mistaken(mistakes: Vec<FieldMistake>) -> Problem {
        let unreadable = matches!(mistakes.as_slice(), [only] if only.expected == crate::body::EXPECTED);
        let detail = match mistakes.as_slice() {
            [only] if only.field.is_empty() => format!("{}; expected {}", only.found, only.expected),
            [only] => format!("{}: {}; expected {}", only.field, only.found, only.expected),
            all if all.iter().all(|one| one.field.starts_with('?')) => {
                format!("the parameters have {} mistakes", all.len())
            }
            all => format!("the body has {} mistakes", all.len()),
        };
        let status = if unreadable { 400 } else { 422 };
        Problem { mistakes, ..Problem::new(Problem::MISTAKES, status, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_core::engine::REFUSAL_CODES;

    #[test]
    fn every_code_has_exactly_one_status() {
        let mut known: Vec<&str> = STATUSES.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let mut there: Vec<&str> = REFUSAL_CODES.iter().copied().flatten().copied().collect();
        known.sort_unstable();
        there.sort_unstable();
        assert_eq!(known, there, "left: STATUSES; right: the codes of the core");
        assert!(!there.contains(&Problem::MISTAKES));
        assert_eq!(status("no-code"), 500);
    }

    #[test]
    fn a_refusal_is_a_problem_with_its_code_and_sentence() {
        let refusal = Refusal::BeforeOpening { opened: "2020-01-04T05:23:56Z".parse().unwrap() };
        let problem = Problem::refused(&refusal, "acme", &Zone::parse("+08:00").unwrap());
        let expected = serde_json::json!({
            "type": "urn:farebox:problem:before-opening",
            "title": "Before opening",
            "status": 422,
            "detail": "the account was opened on 2020-01-04 13:23:56 only; say a time from then on",
            "code": "before-opening",
            "account": "acme",
        });
        assert_eq!(serde_json::to_value(problem).unwrap(), expected);
        let missing = Refusal::UnknownAccount("acme".into());
        assert_eq!(Problem::refused(&missing, "acme", &Zone::utc()).status, 404);
    }

    #[test]
    fn mistakes_are_a_problem_that_names_each() {
        let one = FieldMistake::new("/amount", "12", "a decimal");
        let problem = Problem::mistaken(vec![one.clone()]);
        assert_eq!((problem.status, &*problem.detail), (422, "/amount: 12; expected a decimal"));
        assert_eq!(problem.mistakes, std::slice::from_ref(&one));
        assert_eq!(Problem::mistaken(vec![one.clone(), one]).detail, "the body has 2 mistakes");
        let unreadable = crate::body::parse(b"{").unwrap_err();
        assert_eq!(Problem::mistaken(vec![unreadable]).status, 400);
    }
}
