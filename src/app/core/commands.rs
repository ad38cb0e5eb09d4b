//! Admin commands, as the core carries them out.

use tracing::info;

use super::Core;
use crate::admin::{AdminAnswer, AdminCommand, AdminError, AdminReply};
use crate::alert::{NewSilence, SilenceError, SilenceId};
use crate::clock;
use crate::notify::ReplayError;
use crate::report::ReplayReport;

impl Core {
    /// Carries out one command. What it changed is published before it is answered, so that the
    /// caller's next request sees it.
    pub(super) fn execute(&mut self, command: AdminCommand) -> AdminAnswer {
        let runtime = self.runtime.clone();
        let _tasks = runtime.enter();
        let answer = self.carry_out(command);
        self.publish();
        answer
    }

    fn carry_out(&mut self, command: AdminCommand) -> AdminAnswer {
        let reply = match command {
            AdminCommand::Reload => match self.reload() {
                Ok(report) => AdminReply::Reloaded(report),
                Err(errors) => return Err(AdminError::Config(errors)),
            },
            AdminCommand::ReplayDelivery { id } => AdminReply::DeliveryReplayed(self.replay(id)?),
            AdminCommand::AddSilence(new) => AdminReply::SilenceAdded(self.add_silence(new)?),
            AdminCommand::ExpireSilence(id) => {
                self.expire_silence(&id)?;
                AdminReply::SilenceExpired(id)
            }
            AdminCommand::NoteOperation(notice) => {
                self.monitor.note_operation(*notice, clock::now())?;
                AdminReply::OperationNoted
            }
            AdminCommand::RunDoctor => {
                if !self.begin_audit() {
                    return Err(AdminError::DoctorRuns);
                }
                info!("an audit was asked for and has begun");
                AdminReply::DoctorBegan
            }
        };
        Ok(reply)
    }

    fn replay(&mut self, id: String) -> Result<ReplayReport, ReplayError> {
        let receiver = self.dispatcher.replay(&id)?;
        info!(receiver = &*receiver, id, "a dead letter is sent again");
        Ok(ReplayReport {
            id,
            receiver: receiver.to_string(),
        })
    }

    fn add_silence(&mut self, new: NewSilence) -> Result<SilenceId, SilenceError> {
        let id = self.monitor.silence(new, clock::anchor())?;
        info!(silence = %id, "a silence was created");
        Ok(id)
    }

    fn expire_silence(&mut self, id: &SilenceId) -> Result<(), SilenceError> {
        self.monitor.expire_silence(id, clock::anchor())?;
        info!(silence = %id, "a silence was ended");
        Ok(())
    }
}
