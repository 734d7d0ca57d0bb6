//! Usage that someone has brought, on its way through the engine and back.
//!
//! Requests of an event each, which wait together, are counted together: see [`Service::receive_together`].

use crate::usage::Summary;
use farebox_service::{Parcel, Service};
use farebox_store::StoreError;
use tokio::sync::oneshot;

/// Parcels of more events than this are let go of when they are counted; the memory of smaller ones goes back with the
/// answer to the thread that it came from, which has it ready for the next.
const BACK_EVENTS_MAX: usize = 8;

/// Usage, and what became of it so far.
struct Load {
    parcel: Parcel,
    summary: Summary,
}

type Told = Result<Box<Load>, StoreError>;

/// Usage that waits to be counted.
pub(crate) struct Brought {
    load: Box<Load>,
    tell: oneshot::Sender<Told>,
}

/// Usage that was counted, unless that failed.
pub(crate) struct Counted {
    done: Told,
    tell: oneshot::Sender<Told>,
}

impl Brought {
    /// Usage, of which some may have been refused already, and what tells what became of it.
    pub fn new(
        parcel: Parcel,
        summary: Summary,
    ) -> (Brought, impl Future<Output = Result<Result<Summary, StoreError>, oneshot::error::RecvError>>) {
        let (tell, told) = oneshot::channel();
        let load = Box::new(Load { parcel, summary });
        (Brought { load, tell }, async { Ok(told.await?.map(|load| load.summary)) })
    }

    /// How many events.
    pub fn events(&self) -> usize {
        self.load.parcel.len()
    }
}

impl Counted {
    /// Tells who brought it, once it is durable, or why it is not. Whoever does not wait any more needs no answer.
    pub fn tell(self, committed: Result<(), StoreError>) {
        let _ = self.tell.send(self.done.and_then(|load| committed.map(|()| load)));
    }
}

fn count_together(loads: &mut [Box<Load>], service: &mut Service) -> Result<(), StoreError> {
    let (parcels, mut summaries): (Vec<&Parcel>, Vec<&mut Summary>) =
        loads.iter_mut().map(|load| (&load.parcel, &mut load.summary)).unzip();
    service.receive_together(&parcels, &mut |number, event, received| {
        if let Some(summary) = summaries.get_mut(number) {
            summary.note(event, received);
        }
    })
}

/// Counts what was brought, in order. Where the service fails, or failed before, nothing of it is kept. Whose group
/// cannot be read hears of it, and nobody else.
pub(crate) fn count(some: Vec<Brought>, service: Result<&mut Service, StoreError>) -> Vec<Counted> {
    let (mut loads, tells): (Vec<Box<Load>>, Vec<_>) =
        some.into_iter().map(|one| (one.load, one.tell)).unzip();
    let counted = match service {
        Err(error) => Err(error),
        Ok(service) => match count_together(&mut loads, service) {
            Err(StoreError::Corrupt { .. }) if loads.len() > 1 => {
                let alone = |(mut load, tell)| {
                    let counted = count_together(std::slice::from_mut(&mut load), service);
                    Counted { done: counted.map(|()| load), tell }
                };
                return loads.into_iter().zip(tells).map(alone).collect();
            }
            counted => counted,
        },
    };
    let done = loads.into_iter().map(|mut load| {
        if load.parcel.len() > BACK_EVENTS_MAX {
            load.parcel = Parcel::default();
        }
        counted.clone().map(|()| load)
    });
    done.zip(tells).map(|(done, tell)| Counted { done, tell }).collect()
}
