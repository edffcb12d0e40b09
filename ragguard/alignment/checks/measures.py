"""Units of measure: which words name one, what dimension it has, and its size in a common unit."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """A unit as `value * factor + offset` in its dimension's common unit."""

    dimension: str
    factor: float
    offset: float = 0.0


_TABLE = """
length 1: metre metres meter meters m
length 1000: kilometre kilometres kilometer kilometers km kms
length 0.01: centimetre centimetres centimeter centimeters cm
length 0.001: millimetre millimetres millimeter millimeters mm
length 1609.344: mile miles mi
length 0.3048: foot feet ft
length 0.0254: inch inches
length 0.9144: yard yards yd
mass 1: kilogram kilograms kilo kilos kg kgs
mass 0.001: gram grams gramme grammes g
mass 0.000001: milligram milligrams mg
mass 0.000000001: microgram micrograms mcg µg μg
mass 1000: tonne tonnes
mass 0.45359237: lb lbs
mass 0.028349523: ounce ounces oz
time 1: second seconds sec secs
time 0.001: millisecond milliseconds ms
time 60: minute minutes min mins
time 3600: hour hours hr hrs h
time 86400: day days
time 604800: week weeks
time 2629800: month months
time 31557600: year years yr yrs
time 315576000: decade decades
time 3155760000: century centuries
volume 1: litre litres liter liters
volume 0.001: millilitre millilitres milliliter milliliters ml
volume 3.785411784: gallon gallons
area 1: hectare hectares ha
area 0.40468564: acre acres
data 1: byte bytes
data 1000: kilobyte kilobytes kb
data 1000000: megabyte megabytes mb
data 1000000000: gigabyte gigabytes gb
data 1000000000000: terabyte terabytes tb
speed 1: km/h kph kmh
speed 1.609344: mph
speed 3.6: m/s
power 1: watt watts
power 1000: kilowatt kilowatts kw
power 1000000: megawatt megawatts mw
energy 1: kwh
points 1: pp
"""
UNITS: dict[str, Unit] = {
    name: Unit(head.split()[0], float(head.split()[1]))
    for head, names in (line.split(":") for line in _TABLE.strip().splitlines())
    for name in names.split()
}
UNITS |= {name: Unit("temperature", 1.0) for name in ("°c", "℃", "celsius", "centigrade")}
UNITS |= {name: Unit("temperature", 5 / 9, -160 / 9) for name in ("°f", "℉", "fahrenheit")}

CURRENCIES = {
    "$": "$", "dollar": "$", "dollars": "$", "usd": "$", "bucks": "$", "€": "€", "euro": "€", "euros": "€", "eur": "€",
    "£": "£", "gbp": "£", "sterling": "£", "quid": "£", "¥": "¥", "yen": "¥", "jpy": "¥", "₹": "₹", "rupee": "₹",
    "rupees": "₹",
}  # fmt: skip
