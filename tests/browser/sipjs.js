// SIP.js as a phone: what the driver calls is `window.phone`, what happens is told to `window.tell`.
import { Inviter, Registerer, RegistererState, SessionState, UserAgent } from 'sip.js';
import { audio, listen } from './sound.js';

const sessionDescriptionHandlerOptions = { constraints: { audio, video: false } };

const names = {
  [SessionState.Establishing]: 'progress',
  [SessionState.Established]: 'confirmed',
  [SessionState.Terminated]: 'ended',
};

class Phone {
  constructor({ url, user, domain, secret }) {
    this.domain = domain;
    this.agent = new UserAgent({
      uri: UserAgent.makeURI(`sip:${user}@${domain}`),
      transportOptions: { server: url },
      authorizationUsername: user,
      authorizationPassword: secret,
      logLevel: 'warn',
      delegate: {
        onInvite: (invitation) => {
          this.take(invitation);
          window.tell('incoming', invitation.remoteIdentity.uri.user);
        },
        onConnect: () => window.tell('connected', null),
        onDisconnect: () => window.tell('disconnected', null),
      },
    });
    this.registerer = new Registerer(this.agent, { expires: 120 });
    this.registerer.stateChange.addListener((state) => {
      if (state === RegistererState.Registered) window.tell('registered', null);
      if (state === RegistererState.Unregistered) window.tell('unregistered', null);
    });
  }

  take(session) {
    this.before = this.session;
    this.session = session;
    session.stateChange.addListener((state) => { if (names[state]) window.tell(names[state], null); });
  }

  async start() {
    await this.agent.start();
    await this.registerer.register({
      requestDelegate: { onReject: (response) => window.tell('registrationFailed', response.message.statusCode) },
    });
  }

  async stop() { await this.registerer.unregister(); await this.agent.stop(); }

  async call(to) {
    const session = new Inviter(this.agent, UserAgent.makeURI(`sip:${to}@${this.domain}`));
    this.take(session);
    await session.invite({ sessionDescriptionHandlerOptions, requestDelegate: { onReject: (response) => window.tell('failed', response.message.statusCode) } });
  }

  answer() { return this.session.accept({ sessionDescriptionHandlerOptions }); }

  close() { this.session.sessionDescriptionHandler.peerConnection.close(); }
  listen() { listen(this.session.sessionDescriptionHandler.peerConnection); }

  hangup() {
    if (this.session.state === SessionState.Established) return this.session.bye();
    return this.session instanceof Inviter ? this.session.cancel() : this.session.reject();
  }

  again(more, event) {
    const options = { ...sessionDescriptionHandlerOptions, ...more };
    this.session.sessionDescriptionHandlerOptionsReInvite = options;
    return this.session.invite({ requestDelegate: { onAccept: () => { if (event) window.tell(event, null); } } });
  }

  hold() { return this.again({ hold: true }); }
  resume() { return this.again({ hold: false }); }
  restart() { return this.again({ offerOptions: { iceRestart: true } }, 'restarted'); }
  press(digit) { this.session.sessionDescriptionHandler.sendDtmf(digit); }
  attend() { return this.before.refer(this.session); }
  refer(to) { return this.session.refer(UserAgent.makeURI(`sip:${to}@${this.domain}`)); }
}

window.begin = (settings) => { window.phone = new Phone(settings); return window.phone.start(); };
