/** A set of typed events: names mapped to listener signatures. */
export type EventsMap = { [event: string]: any };

/** The events of a socket that was given no types: any name, any arguments. */
export interface DefaultEventsMap {
  [event: string]: (...args: any[]) => void;
}

export type EventNames<M extends EventsMap> = keyof M & string;
export type EventParams<M extends EventsMap, E extends EventNames<M>> = Parameters<M[E]>;

type Listener = ((...args: any[]) => void) & { _fn?: (...args: any[]) => void };

/** A minimal event emitter. Listeners run in the order in which they were added. */
export class Emitter<Listen extends EventsMap = DefaultEventsMap> {
  private _listeners: Record<string, Listener[]> = Object.create(null);

  /** Adds a listener. */
  on<E extends EventNames<Listen>>(event: E, listener: Listen[E]): this {
    (this._listeners[event] ||= []).push(listener);
    return this;
  }

  /** Adds a listener that is removed before its first call. */
  once<E extends EventNames<Listen>>(event: E, listener: Listen[E]): this {
    const wrapper: Listener = (...args) => {
      this.off(event, wrapper as Listen[E]);
      listener.apply(this, args);
    };
    wrapper._fn = listener;
    return this.on(event, wrapper as Listen[E]);
  }

  /** Removes one listener, every listener of an event, or, without arguments, all of them. */
  off<E extends EventNames<Listen>>(event?: E, listener?: Listen[E]): this {
    if (!event) {
      this._listeners = Object.create(null);
    } else if (!listener) {
      delete this._listeners[event];
    } else {
      const list = this.listeners(event) as Listener[];
      const i = list.findIndex((l) => l === listener || l._fn === listener);
      if (i >= 0) {
        list.splice(i, 1);
        this._listeners[event] = list;
      }
    }
    return this;
  }

  /** A copy of the listeners of an event. */
  listeners<E extends EventNames<Listen>>(event: E): Listen[E][] {
    return (this._listeners[event] || []).slice() as Listen[E][];
  }

  /** Whether an event has listeners. */
  hasListeners(event: EventNames<Listen>): boolean {
    return this.listeners(event).length > 0;
  }

  /** @internal Calls the listeners as they were when the call began. */
  _fire(event: string, ...args: any[]): this {
    for (const l of this.listeners(event as EventNames<Listen>)) (l as Listener).apply(this, args);
    return this;
  }
}

export interface Emitter<Listen extends EventsMap = DefaultEventsMap> {
  addEventListener: Emitter<Listen>["on"];
  removeEventListener: Emitter<Listen>["off"];
  removeListener: Emitter<Listen>["off"];
  removeAllListeners: Emitter<Listen>["off"];
}

const proto = Emitter.prototype;
proto.addEventListener = proto.on;
proto.removeEventListener = proto.removeListener = proto.removeAllListeners = proto.off;
