// Asking the admin API, and who asks. The session is a cookie that scripts cannot read.

export class ApiError extends Error {
  constructor(status, error, detail) {
    super(detail);
    this.status = status;
    this.error = error;
  }
}

export const session = new EventTarget();
export let who = null;

const RANK = { viewer: 0, operator: 1, admin: 2 };
export const may = (role) => who !== null && RANK[who.role] >= RANK[role];

async function send(method, path, body, signal) {
  const options = { method, credentials: "same-origin", cache: "no-store", signal };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "content-type": "application/json" };
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "away", "The origin does not answer.");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401 && path !== "/login") ended();
  throw new ApiError(answer.status, told.error ?? "", told.detail ?? `status ${answer.status}`);
}

export const get = (path, signal) => send("GET", `/v1/admin${path}`, undefined, signal);
export const post = (path, body) => send("POST", `/v1/admin${path}`, body);

// Whether there may be a session is remembered, so that nobody is asked for nothing.
const remember = {
  get: () => {
    try {
      return localStorage.getItem("nearcast.session") === "1";
    } catch {
      return true;
    }
  },
  set: (is) => {
    try {
      if (is) localStorage.setItem("nearcast.session", "1");
      else localStorage.removeItem("nearcast.session");
    } catch {
      /* asked each time then */
    }
  },
};

function ended() {
  if (who === null && !remember.get()) return;
  who = null;
  remember.set(false);
  session.dispatchEvent(new Event("change"));
}

/** Whether somebody is signed in here. */
export async function resume() {
  if (!remember.get()) return false;
  try {
    who = await get("/whoami");
  } catch (error) {
    if (error.status === 401) return false;
    throw error;
  }
  return true;
}

export async function signIn(token) {
  who = await send("POST", "/login", { token });
  remember.set(true);
  session.dispatchEvent(new Event("change"));
}

export async function signOut() {
  await send("POST", "/logout").catch(() => null);
  ended();
}
