//! The price list of a catalogue, as a customer reads it.

use farebox_text::catalog;

/// The price list of one of the repository's catalogues.
fn shown(name: &str) -> String {
    let path = format!("{}/../../catalogs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let catalogue = catalog::parse(name, &std::fs::read(path).unwrap()).unwrap();
    catalog::show(&catalogue).replace(&catalogue.hash, "(hash)")
}

#[test]
fn a_price_list_of_everything() {
    assert_eq!(shown("harbour-api").trim_end(), HARBOUR.trim());
}

#[test]
fn charges_titled_as_their_plan_name_only_how_they_are_paid() {
    assert_eq!(shown("huawei-koophone").trim_end(), KOOPHONE.trim());
}

const HARBOUR: &str = "
Harbour developer platform

Catalogue  harbour-api, version 2026-01-01, text (hash)
Prices     in EUR, from 2026-01-01 on
Clock      days and months of Europe/Berlin
Renewals   end to end: months are counted from the purchase
Refunds    none: a term runs to its end
Source     Invented for Farebox: no such company, no such prices.

Harbour platform                                                                            platform

  Cloud                                                                                        cloud
    Ordered   pay-per-use
    Includes  api
    Requests: charged daily
          free  the first 100,000 requests of each month and project
       0.00002  per request, from the first to 1,000,000
      0.000015  per request, past 1,000,000 to 10,000,000
       0.00001  per request, past 10,000,000
                Each at the price of its tier; tiers start again each month and project.
       2500.00  at most, each month and project
                Counts request events with kind not health or internal and status 200 to 299.
    Data out: charged monthly
          free  the first 5 GB of each month and project
          0.08  per GB
                Adds up bytes of transfer events with direction out; 1 GB is 1,000,000,000.
    Peak connections: charged monthly
          4.00  per 1,000 connections begun
                Takes the highest open of connections events.
    Workers: charged monthly
          7.50  per worker
                Takes the latest configured of workers events.
    Monthly active users: charged monthly
         0.021  per user, if 1,000 at most
         0.017  per user, if more than 1,000, at most 50,000, and 5.00 once
         0.014  per user, if more than 50,000, and 10.00 once
                All of each month at the price of the tier that they reach.
          5.00  at least, each month
                Counts each user of login events once.
    Storage: charged monthly
       0.00003  per GB-hour
                Counts bytes × hours of storage events, each until the next; 1 GB-hour is
                1,000,000,000.
    Build minutes: charged daily
          0.01  per minute
                Adds up seconds of build events; the sum rounded up to a whole minute; 1 minute is
                60; by when it began.

  Voice                                                                                        voice
    Ordered  pay-per-use
    Outbound calls: charged daily
         rates  by the number called: see deck voice
                Adds up seconds of call events with direction outbound.

Harbour for teams                                                                              teams

  Enterprise                                                                              enterprise
    Ordered   pay-per-use
    Includes  api, webhooks, single-sign-on, audit-log
    Enterprise seat: charged monthly
         25.00  per seat and month: any day in a month is the whole month
        250.00  at least, each month
    Support desk: charged monthly, without discount
        100.00  each month, for any quantity above zero

  Team                                                                                          team
    Ordered   pay-per-use or prepaid for 1 or 12 months
    Includes  api, webhooks
    Setup: pay-per-use, charged at purchase
         49.00  once, for any quantity
    Team seat: pay-per-use, charged monthly
         10.00  per seat and month, by the day: a day is a thirtieth; the day of removal is charged
    Team seat: prepaid, charged at purchase
          9.00  per seat and month of the term

Deck voice: calls by the longest prefix of to, prices by the minute
  off-peak  at all other times
  peak      every day 08:00–20:00

  Prefix  Connect  First step  Further        off-peak            peak  To
  other      0.00        60 s     60 s            0.90            0.90  All other countries
  33         0.10        60 s      6 s  0.30 then 0.12  0.30 then 0.12  France
  44         0.00        60 s     60 s            0.30            0.30  United Kingdom
  4420       0.00        60 s     60 s            0.20            0.20  United Kingdom, London
  49         0.00        60 s     60 s            0.15            0.30  Germany
";

const KOOPHONE: &str = "
Huawei Cloud KooPhone

Catalogue  huawei-koophone, version 2023-06-01, text (hash)
Prices     in CNY
Clock      days and months of +08:00
Renewals   end to end: months are counted from the purchase
Refunds    what was paid, less what is consumed by days of a month of 30, less 10 % of it
Arrears    days of grace/retention by tier: V0 0/1, prepaid 1/1; V1 0/7, prepaid 1/7; V2 0/7,
           prepaid 1/7; V3 1/7, prepaid 7/7; V4 7/15, prepaid 7/15; V5 7/15, prepaid 7/15; else as
           V0
Source     Huawei Cloud, KooPhone, Billing Overview. Prices and types are examples.

General-purpose cloud phones                                                                  phones

  Performance phone, 4 vCPU, 8 GB                                                  performance-phone
    Ordered     pay-per-use or prepaid for 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 24 or 36 months
    Order says  specification
    Pay-per-use, charged hourly
          1.20  per phone and hour, by the second, also while stopped
    Prepaid, charged at purchase
        518.00  per phone and month of the term

  Standard phone, 2 vCPU, 4 GB                                                        standard-phone
    Ordered     pay-per-use or prepaid for 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 24 or 36 months
    Order says  specification
    Pay-per-use, charged hourly
          0.60  per phone and hour, by the second, also while stopped
    Prepaid, charged at purchase
        259.00  per phone and month of the term
";
