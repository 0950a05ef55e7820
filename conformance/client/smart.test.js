// Gets a token from a running service as a SMART Backend Service does, with openid-client, an OAuth
// client library for JavaScript, and uses it with fhir-kit-client. Run it with the service's base URL
// in BASE, and in KEYS the private keys, as a JWK Set, of a registered client "engine" with the scope
// system/Patient.cruds:
//
//   npm ci && BASE=http://127.0.0.1:8080/fhir KEYS='{"keys":[...]}' node smart.test.js
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import test from 'node:test';
import { Client } from 'fhir-kit-client';
import * as oauth from 'openid-client';

const keys = JSON.parse(process.env.KEYS).keys;
const algorithms = {
  RS384: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-384' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
};
const refused = (call, status, code) =>
  assert.rejects(call, (error) => {
    assert.equal(error.response.status, status);
    assert.equal(error.response.data.issue[0].code, code);
    return true;
  });

// Where tokens are to be had, as the service tells everybody.
const discover = async () => (await new Client({ baseUrl: process.env.BASE }).smartAuthMetadata()).tokenUrl.href;

// What gets tokens with a key. The service asks for the token endpoint as the audience.
async function configure(jwk, tokenEndpoint, claims = {}) {
  const key = await webcrypto.subtle.importKey('jwk', jwk, algorithms[jwk.alg], false, ['sign']);
  const authentication = oauth.PrivateKeyJwt({ key, kid: jwk.kid }, {
    [oauth.modifyAssertion]: (_, payload) => Object.assign(payload, { aud: tokenEndpoint }, claims),
  });
  const server = { issuer: new URL(tokenEndpoint).origin, token_endpoint: tokenEndpoint };
  const configuration = new oauth.Configuration(server, 'engine', undefined, authentication);
  oauth.allowInsecureRequests(configuration); // on this machine
  return configuration;
}

for (const jwk of keys) {
  test(`discovery, token and read with ${jwk.alg}`, async () => {
    const configuration = await configure(jwk, await discover());
    const token = await oauth.clientCredentialsGrant(configuration, { scope: 'system/Patient.cruds' });
    assert.equal(token.token_type, 'bearer');
    assert.equal(token.expires_in, 300);
    assert.equal(token.scope, 'system/Patient.cruds');

    const client = new Client({ baseUrl: process.env.BASE });
    client.bearerToken = token.access_token;
    const made = await client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', gender: 'female' } });
    const read = await client.read({ resourceType: 'Patient', id: made.id });
    assert.equal(read.gender, 'female');
    await refused(new Client({ baseUrl: process.env.BASE }).read({ resourceType: 'Patient', id: made.id }), 401, 'login');
    await refused(client.search({ resourceType: 'Observation' }), 403, 'forbidden');
  });
}

test('less is given where less is registered', async () => {
  const configuration = await configure(keys[0], await discover());
  const token = await oauth.clientCredentialsGrant(configuration, { scope: 'system/*.rs' });
  assert.equal(token.scope, 'system/Patient.rs');
  const client = new Client({ baseUrl: process.env.BASE });
  client.bearerToken = token.access_token;
  await client.search({ resourceType: 'Patient' });
  await refused(client.create({ resourceType: 'Patient', body: { resourceType: 'Patient' } }), 403, 'forbidden');
});

test('what is wrong is refused as OAuth says', async () => {
  const endpoint = await discover();
  const fails = async (claims, parameters, error, status) =>
    assert.rejects(oauth.clientCredentialsGrant(await configure(keys[0], endpoint, claims), parameters), (e) => {
      assert.equal(e.error, error);
      assert.equal(e.status, status);
      return true;
    });
  const scope = 'system/Patient.rs';
  await fails({ aud: process.env.BASE }, { scope }, 'invalid_client', 401);
  await fails({ exp: Math.floor(Date.now() / 1000) - 60 }, { scope }, 'invalid_client', 401);
  await fails({}, { scope: 'system/AuditEvent.rs' }, 'invalid_scope', 400);
  const once = await configure(keys[0], endpoint, { jti: 'the same' });
  await oauth.clientCredentialsGrant(once, { scope });
  await assert.rejects(oauth.clientCredentialsGrant(once, { scope }), (e) => e.error === 'invalid_client');
});
