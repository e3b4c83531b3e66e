// JsSIP as a phone: what the driver calls is `window.phone`, what happens is told to `window.tell`.
import JsSIP from 'jssip';
import { audio, listen } from './sound.js';

const mediaConstraints = { audio, video: false };

class Phone {
  constructor({ url, user, domain, secret }) {
    const socket = new JsSIP.WebSocketInterface(url);
    this.agent = new JsSIP.UA({ sockets: [socket], uri: `sip:${user}@${domain}`, password: secret, register: true, register_expires: 120 });
    this.domain = domain;
    for (const name of ['connected', 'disconnected', 'registered', 'unregistered', 'registrationFailed']) {
      this.agent.on(name, (e) => window.tell(name, e?.response?.status_code ?? null));
    }
    this.agent.on('newRTCSession', ({ session, originator, request }) => {
      this.before = this.session;
      this.session = session;
      if (originator === 'remote') window.tell('incoming', request.from.uri.user);
      for (const name of ['progress', 'accepted', 'confirmed', 'ended', 'failed', 'hold', 'unhold']) {
        session.on(name, (e) => window.tell(name, e?.message?.status_code ?? e?.response?.status_code ?? e?.cause ?? null));
      }
    });
  }

  start() { this.agent.start(); }
  stop() { this.agent.stop(); }
  call(to) { this.agent.call(`sip:${to}@${this.domain}`, { mediaConstraints }); }
  answer() { this.session.answer({ mediaConstraints }); }
  hangup() { this.session.terminate(); }
  hold() { this.session.hold(); }
  resume() { this.session.unhold(); }
  refer(to) { this.session.refer(`sip:${to}@${this.domain}`); }
  close() { this.session.connection.close(); }
  listen() { listen(this.session.connection); }
  attend() { this.before.refer(this.session.remote_identity.uri, { replaces: this.session }); }
  press(digit) { this.session.sendDTMF(digit, { transportType: 'RFC2833' }); }
  restart() { this.session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, () => window.tell('restarted', null)); }
}

window.begin = (settings) => { window.phone = new Phone(settings); window.phone.start(); };
