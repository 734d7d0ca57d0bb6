//! Notices: what someone is told, and by which channels.
//!
//! Any subject tells with `engine::Fact::Noticed`. The payer's account keeps its group's notices in
//! their order. No decision reads them: what must be told only once is remembered by its subject.

use crate::calendar::Instant;

/// Something that someone is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When it came about.
    pub at: Instant,
    /// The account that it is about.
    pub account: String,
    /// The subscription that it is about, when it is about one.
    pub subscription: Option<String>,
    /// What it is about, as a stable word: `grace-began`.
    pub kind: String,
    /// What is told, in a sentence.
    pub text: String,
    /// How.
    pub channels: Vec<Channel>,
}

/// How something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// An e-mail to the account's creator.
    Email,
    /// A text message to the account's creator.
    Sms,
    /// A message where the account's creator signs in.
    Internal,
    /// A message to the systems of the vendor: release the resource.
    Vendor,
}

impl Channel {
    /// The channels to an account's creator (R-OCR-4).
    pub const CUSTOMER: [Channel; 3] = [Channel::Email, Channel::Sms, Channel::Internal];

    /// For people.
    pub fn name(&self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "SMS",
            Channel::Internal => "internal message",
            Channel::Vendor => "vendor's systems",
        }
    }
}

impl Notice {
    /// The kinds of notices, in the order of the alphabet.
    pub const KINDS: &[&str] = &[
        "active-again",
        "advice",
        "arrears-began",
        "arrears-cleared",
        "auto-renewal-failed",
        "budget",
        "frozen",
        "grace-began",
        "not-renewed",
        "quota-exhausted",
        "quota-low",
        "release-resource",
        "released",
        "resumed",
        "suspended",
    ];

    /// A notice to the account's creator, by email, SMS and internal message (R-OCR-4).
    pub fn to_customer(
        at: Instant,
        account: &str,
        subscription: Option<&str>,
        kind: &str,
        text: String,
    ) -> Notice {
        debug_assert!(Notice::KINDS.contains(&kind), "{kind} is none of Notice::KINDS");
        Notice {
            at,
            account: account.to_owned(),
            subscription: subscription.map(str::to_owned),
            kind: kind.to_owned(),
            text,
            channels: Channel::CUSTOMER.to_vec(),
        }
    }

    /// A notice to the vendor's systems (R-OCR-7).
    pub fn to_vendor(
        at: Instant,
        account: &str,
        subscription: Option<&str>,
        kind: &str,
        text: String,
    ) -> Notice {
        let channels = vec![Channel::Vendor];
        Notice { channels, ..Notice::to_customer(at, account, subscription, kind, text) }
    }
}
