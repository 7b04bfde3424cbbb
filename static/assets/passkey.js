// Passkeys: asks the browser for one, puts its answer into a form, and sends the form. The other forms work without.
'use strict';

(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
  const text = (buffer) => btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(''))
    .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const ids = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

  /** `PublicKeyCredentialCreationOptions` or `PublicKeyCredentialRequestOptions`, out of their JSON. */
  function optionsOf(form) {
    // What is `null` was left out; browsers are strict about it.
    const json = JSON.parse(form.dataset.options, (key, value) => value ?? undefined);
    const isNew = form.dataset.passkey === 'create';
    const parse = isNew ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON';
    if (PublicKeyCredential[parse]) return PublicKeyCredential[parse](json);
    const options = { ...json, challenge: bytes(json.challenge) };
    if (!isNew) return { ...options, allowCredentials: ids(json.allowCredentials) };
    return {
      ...options,
      user: { ...json.user, id: bytes(json.user.id) },
      excludeCredentials: ids(json.excludeCredentials),
    };
  }

  /** The JSON of a credential (WebAuthn §5.1). */
  function jsonOf(credential) {
    if (typeof credential.toJSON === 'function') return JSON.stringify(credential.toJSON());
    const { response } = credential;
    const parts = ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']
      .filter((name) => response[name]).map((name) => [name, text(response[name])]);
    if (response.getTransports) parts.push(['transports', response.getTransports()]);
    return JSON.stringify({
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      response: Object.fromEntries(parts),
      clientExtensionResults: credential.getClientExtensionResults(),
    });
  }

  const words = {
    NotAllowedError: 'No passkey was used: it was cancelled, or took too long.',
    InvalidStateError: 'This device has a passkey for this account already.',
    NotSupportedError: 'This device cannot make a passkey of the kind that is needed.',
    SecurityError: 'The browser does not allow passkeys at this address.',
  };

  let waiting;

  /** Asks for a passkey and sends the form; `conditional` waits until somebody chooses one in the field's list. */
  async function ask(form, mediation) {
    const says = form.querySelector('[aria-live]');
    waiting?.abort();
    waiting = new AbortController();
    const { signal } = waiting;
    try {
      says.textContent = '';
      const request = { publicKey: optionsOf(form), signal };
      if (mediation) request.mediation = mediation;
      const isNew = form.dataset.passkey === 'create';
      const credential = await (isNew ? navigator.credentials.create(request) : navigator.credentials.get(request));
      form.elements.passkey.value = jsonOf(credential);
      // What is ticked in the other form is meant for this one too.
      for (const like of form.querySelectorAll('[data-like]')) {
        like.disabled = !document.getElementById(like.dataset.like)?.checked;
      }
      form.submit();
    } catch (error) {
      if (signal.aborted || mediation) return;
      says.textContent = words[error.name] ?? 'The browser could not use a passkey.';
    }
  }

  async function start() {
    if (!window.PublicKeyCredential || !navigator.credentials) return;
    for (const missing of document.querySelectorAll('[data-passkey-missing]')) missing.hidden = true;
    for (const form of document.querySelectorAll('form[data-passkey]')) {
      form.hidden = false;
      form.querySelector('button').hidden = false;
      form.addEventListener('submit', (event) => {
        event.preventDefault();
        ask(form);
      });
    }
    const form = document.querySelector('form[data-passkey=get]');
    if (form && await PublicKeyCredential.isConditionalMediationAvailable?.()) ask(form, 'conditional');
  }

  start();
})();
