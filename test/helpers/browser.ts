/** As much of a browser as pages without JavaScript need: cookies, and fields of forms. Follows no redirect. */
export interface Page {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The value of a hidden field. @throws Error when the page has none of this name */
  readonly field: (name: string) => string;
}

export class Browser {
  readonly cookies = new Map<string, string>();
  constructor(private readonly url: string) {}

  get(path: string): Promise<Page> {
    return this.send('GET', path, {});
  }

  post(path: string, fields: Record<string, string>, headers: Record<string, string> = {}): Promise<Page> {
    return this.send('POST', path, {
      body: new URLSearchParams(fields).toString(),
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: this.url,
        'sec-fetch-site': 'same-origin',
        ...headers,
      },
    });
  }

  async send(
    method: string,
    path: string,
    options: { body?: string; headers?: Record<string, string> },
  ): Promise<Page> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const reply = await fetch(new URL(path, this.url), {
      method,
      redirect: 'manual',
      headers: { ...(cookie === '' ? {} : { cookie }), ...options.headers },
      ...(options.body === undefined ? {} : { body: options.body }),
    });
    for (const line of reply.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';');
      const at = pair.indexOf('=');
      const gone = attributes.some((attribute) => /^\s*expires=Thu, 01 Jan 1970/i.test(attribute));
      if (gone) this.cookies.delete(pair.slice(0, at));
      else this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const text = await reply.text();
    return {
      status: reply.status,
      headers: reply.headers,
      text,
      field: (name) => {
        const value = new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1];
        if (value === undefined) throw new Error(`the page at ${path} has no field ${name}`);
        return value.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
      },
    };
  }
}
