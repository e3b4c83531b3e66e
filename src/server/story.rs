//! What happens, in the process's own log: a line for whoever reads along, without customers' numbers. The event log has all of it.

use crate::event::{Event, GoneBy, Kind, MissingCause};
use crate::media::Way;
use crate::route::Trouble;

pub(super) fn tell(event: &Event) {
    let id = event.conversation.map(tracing::field::display);
    match &event.kind {
        Kind::RegistrationAdded(r) => {
            let (transport, source, agent) = (&r.transport, &r.source, r.user_agent.as_deref().unwrap_or_default());
            tracing::info!("phone {} is registered from {source} by {transport} {agent:?}", r.number);
        }
        Kind::RegistrationRemoved(r) => tracing::info!("phone {} has taken its registration back ({})", r.number, r.source),
        Kind::RegistrationExpired(r) if r.reason == Some(GoneBy::Silence) => {
            tracing::warn!("phone {} does not answer, and is registered no more ({})", r.number, r.source);
        }
        Kind::RegistrationExpired(r) => tracing::info!("phone {} has let its registration expire ({})", r.number, r.source),

        Kind::TrunkUp(t) => tracing::info!("trunk {} is up", t.trunk),
        Kind::TrunkDown(t) => {
            let trouble = Trouble { kind: t.reason, status: t.status, detail: t.detail.clone() };
            tracing::warn!("trunk {} is down: {trouble}", t.trunk);
        }
        Kind::TrunkRegistrationFailed(t) => {
            let why = t.status.map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
            tracing::warn!("trunk {} can't be registered with: {why}; again in {} s", t.trunk, t.retry_in_s);
        }

        Kind::ClassRefused(r) => tracing::info!("phone {} is not permitted {}", r.phone, r.denied),
        Kind::GuardBanned(ban) => {
            tracing::warn!("{} is banned until {}: too much of it was {}", ban.address, ban.until, ban.reason)
        }
        Kind::GuardLifted(lifted) => tracing::info!("{} is listened to again (by {})", lifted.address, lifted.by),
        Kind::GuardAlarm(alarm) => {
            tracing::warn!(
                "passwords of {:?} are tried: {} wrong, from {}",
                alarm.user,
                alarm.failures,
                alarm.sources.join(", ")
            );
        }

        Kind::VoicemailLocked(lock) => {
            tracing::warn!(
                "{} is locked until {}: {} wrong PINs, the last from {}",
                lock.locked,
                lock.until,
                lock.failures,
                lock.source
            );
        }
        Kind::VoicemailUnlocked(lock) => tracing::info!("{} is no longer locked (by {})", lock.locked, lock.by),

        Kind::CallStarted(call) => match (&call.trunk, &call.phone) {
            (Some(trunk), _) => tracing::info!(conversation = id, "a call came by trunk {trunk} for {:?}", call.called),
            (None, Some(phone)) => tracing::info!(conversation = id, "phone {phone} calls"),
            (None, None) => tracing::info!(conversation = id, "a call begins"),
        },
        Kind::CallEnded(call) => {
            let talked = call.talk_ms / 1_000;
            tracing::info!(conversation = id, "the call has ended: {}, by {}; {talked} s of talk", call.cause, call.by);
        }
        Kind::MediaMissing(m) => match &m.cause {
            Some(cause @ MissingCause::Unheard) => tracing::warn!(conversation = id, "{} does not hear us: {cause}", m.peer),
            Some(cause) => tracing::warn!(conversation = id, "nothing is heard from {}: {cause}", m.peer),
            None => tracing::warn!(conversation = id, "nothing is heard from {}", m.peer),
        },
        Kind::MediaDegraded(m) => {
            let way = if m.way == Some(Way::ToPeer) { "what it is sent" } else { "what comes from it" };
            tracing::warn!(conversation = id, "{} sounds bad: {way} scores {:.1} of 4.5", m.peer, m.mos);
        }
        Kind::RecordingGap(gap) => {
            tracing::warn!(conversation = id, recording = %gap.recording, "{} ms are missing: {}", gap.gap_ms, gap.reason);
        }
        Kind::RecordingFailed(r) => {
            tracing::error!(conversation = id, recording = %r.recording, "the recording failed: {}", r.reason);
        }
        Kind::RecordingNotAnnounced(r) => {
            let (recording, prompt) = (r.recording, &r.prompt);
            tracing::error!(conversation = id, %recording, "prompt {prompt} can't be played, which says that a call is recorded: this one is not");
        }
        Kind::LogLost(lost) => tracing::error!("{} events were lost", lost.events),
        Kind::SystemDegraded(s) => tracing::error!("{} is in trouble: {}", s.part, s.reason),
        Kind::SystemRecovered(s) => tracing::info!("{} works again", s.part),
        Kind::SystemStopping(s) => {
            tracing::info!("no more calls; {} live ones get {} s", s.live_conversations, s.drain_ms / 1_000)
        }

        // The story of one call, and of people: for those who read events.
        Kind::CallDisposed(_)
        | Kind::CallNoted(_)
        | Kind::CallSurveyed(_)
        | Kind::CallTagged(_)
        | Kind::CallMarked(_)
        | Kind::AgentLoggedIn(_)
        | Kind::AgentLoggedOut(_)
        | Kind::AgentQueues(_)
        | Kind::AuditCommanded(_)
        | Kind::QueueCallback(_)
        | Kind::CallRinging(_)
        | Kind::CallAnswered(_)
        | Kind::CallBridged(_)
        | Kind::CallUnbridged(_)
        | Kind::CallHeld(_)
        | Kind::CallResumed(_)
        | Kind::CallHoldReminder(_)
        | Kind::CallHoldOverdue(_)
        | Kind::CallTransferred(_)
        | Kind::CallForwarded(_)
        | Kind::VoicemailLeft(_)
        | Kind::VoicemailGreeting(_)
        | Kind::VoicemailMailed(_)
        // Told by the mailer.
        | Kind::VoicemailMailFailed(_)
        | Kind::VoicemailHeard(_)
        | Kind::VoicemailDeleted(_)
        // Told by the webhooks.
        | Kind::WebhookLost(_)
        | Kind::WebhookOff(_)
        | Kind::WebhookResumed(_)
        | Kind::CallMerged(_)
        | Kind::CallConferenced(_)
        | Kind::CallConsulted(_)
        | Kind::CallMonitored(_)
        | Kind::CallMuted(_)
        | Kind::CallPlayed(_)
        | Kind::CallPickedUp(_)
        | Kind::CallParked(_)
        | Kind::CallRetrieved(_)
        | Kind::CallParkReturned(_)
        | Kind::CallWentOutside(_)
        | Kind::MenuEntered(_)
        | Kind::MenuDigit(_)
        | Kind::MenuLeft(_)
        | Kind::MenuLookedUp(_)
        | Kind::QueueEntered(_)
        | Kind::QueueOffered(_)
        | Kind::QueueUnanswered(_)
        | Kind::QueueAnswered(_)
        | Kind::QueueAbandoned(_)
        | Kind::QueueLeft(_)
        | Kind::AgentReady(_)
        | Kind::AgentPaused(_)
        | Kind::AgentWrapup(_)
        | Kind::AgentOffline(_)
        | Kind::AgentRinging(_)
        | Kind::AgentTalking(_)
        | Kind::AgentBusy(_)
        | Kind::AgentUnanswered(_)
        | Kind::AgentUnregistered(_)
        | Kind::RecordingDecided(_)
        | Kind::RecordingStarted(_)
        | Kind::RecordingPaused(_)
        | Kind::RecordingResumed(_)
        | Kind::RecordingRefused(_)
        | Kind::PromptRecorded(_)
        | Kind::RecordingDiscarded(_)
        | Kind::RecordingFinished(_)
        | Kind::RecordingMeasured(_)
        | Kind::RecordingRepaired(_)
        | Kind::MediaPresent(_)
        | Kind::MediaQuality(_)
        | Kind::MediaRecovered(_)
        | Kind::ConfigReloaded(_)
        | Kind::SystemStarted(_) => {}
    }
}
